/**
 * Constraints of base R4 that invariant.ts does not compile by hand, by FHIRPath: for `$validate` and for resources that claim a profile only,
 * since FHIRPath costs about a hundred times a compiled function. Source: conformance-rules.html#constraints, StructureDefinition snapshots.
 */
import type { Definitions } from '../definitions/definitions.ts';
import { plainJson } from '../path/fhirpath.ts';
import { isJsonObject } from '../resource.ts';
import { INVARIANTS } from '../validation/invariant.ts';
import { constraintCheck, type ItemCheck } from './check.ts';
import { type Item, itemsAt, type Judging, type Place, Places } from './item.ts';

/** Checked by validate.ts and narrative.ts over the whole resource. */
const ELSEWHERE = ['ele-1', 'ext-1', 'dom-2', 'dom-3', 'dom-4', 'dom-5', 'ref-1', 'txt-1', 'txt-2', 'sqr-1'];
/** Expressions that do not say what is meant: System.Boolean is not the FHIR type of an answer. */
const ERRATA: ReadonlyMap<string, string> = new Map([['que-7', "operator = 'exists' implies (answer is boolean)"]]);
/** A best practice by its definition (a narrative would be good to have), which few resources of machines follow. */
const NOT_SAID = ['dom-6'];
const BY_HAND: ReadonlySet<string> = new Set([...INVARIANTS.keys(), ...ELSEWHERE, ...NOT_SAID]);

interface Shape {
  readonly own: readonly ItemCheck[];
  readonly children: readonly {
    readonly name: string;
    readonly places: readonly Place[];
    readonly checks: readonly ItemCheck[];
  }[];
}

export class BaseInvariants {
  readonly #definitions: Definitions;
  readonly #places: Places;
  readonly #shapes = new Map<string, Shape>();
  readonly #checks = new Map<string, ItemCheck>();

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
    this.#places = new Places(definitions);
  }

  /** Reports on an entry and everything below it. */
  readonly check: ItemCheck = (item, at) => {
    const { value } = item;
    if (value === undefined || !isJsonObject(value)) return;
    const within: Judging = item.base === undefined ? { ...at, resource: plainJson(value) } : at;
    const { own, children } = this.#shape(item.definedAt);
    for (const check of own) check(item, within);
    const { path } = at.findings;
    for (const { name, places, checks } of children) {
      for (const each of itemsAt(value, places)) {
        const { length } = path;
        path.push(name);
        if (each.index !== undefined) path.push(each.index);
        for (const check of checks) check(each, within);
        if (!at.findings.full) this.check(each, within);
        path.length = length;
      }
    }
  };

  #shape(definedAt: string): Shape {
    const known = this.#shapes.get(definedAt);
    if (known !== undefined) return known;
    const elements = this.#definitions.structure(definedAt.split('.')[0] ?? '')?.elements ?? [];
    const prefix = `${definedAt}.`;
    const direct = elements.filter(({ path }) => path.startsWith(prefix) && !path.includes('.', prefix.length));
    const own = elements.find(({ path }) => path === definedAt)?.constraints ?? [];
    const shape = {
      own: own.flatMap((key) => this.#constraint(key)),
      children: direct.map(({ path, constraints }) => {
        const name = path.slice(prefix.length).replace('[x]', '');
        const hasShape = elements.some((each) => each.path.startsWith(`${path}.`));
        const checks = hasShape ? [] : constraints.flatMap((key) => this.#constraint(key));
        return { name, places: this.#places.of(definedAt, name), checks };
      }),
    };
    this.#shapes.set(definedAt, shape);
    return shape;
  }

  #constraint(key: string): readonly ItemCheck[] {
    const held = this.#definitions.constraints.get(key);
    if (held === undefined || BY_HAND.has(key)) return [];
    const known =
      this.#checks.get(key) ??
      constraintCheck({
        key: key.replace(/^.*:/, ''),
        severity: held.severity,
        expression: ERRATA.get(key) ?? held.expression,
      });
    this.#checks.set(key, known);
    return [known];
  }
}

/** A resource as an entry. */
export function resourceItem(value: Item['value'], type: string): Item {
  return { value, sibling: undefined, type, definedAt: type, base: undefined, index: undefined };
}
