/**
 * A profile as closures: what it asks beyond the base, of one entry after the other. Source: FHIR R4 profiling.html, elementdefinition.html,
 * terminologies.html#strength. Compiled when a profile is first used.
 */
import type { Definitions } from '../definitions/definitions.ts';
import { type Budget, type ConstraintInput, constraint, type Holding, plainJson } from '../path/fhirpath.ts';
import { isJsonObject, isNumber, type JsonObject } from '../resource.ts';
import { Findings } from '../validation/finding.ts';
import { referencedType } from '../validation/reference-target.ts';
import { memberships } from './binding.ts';
import { codesOf, type Item, itemsAt, type Judging, objectOf, type Place, Places } from './item.ts';
import { holdsPattern, isSame, type Profile, type ProfileElement, urlOf } from './profile.ts';
import { type Matcher, type SlicingTools, sliceMatcher } from './slicing.ts';

/** Reports what an entry lacks; the findings' path is at the entry. */
export type ItemCheck = (item: Item, at: Judging) => void;
type ObjectCheck = (object: JsonObject, at: Judging) => void;

const BASE = 'http://hl7.org/fhir/StructureDefinition/';
/** Of every element, by other means: finding.ts and validate.ts. */
const IN_BASE: ReadonlySet<string> = new Set(['ele-1', 'ext-1']);

export class ProfileChecks {
  readonly #definitions: Definitions;
  readonly #tools: SlicingTools;
  readonly #checks = new Map<string, ItemCheck>();

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
    this.#tools = {
      places: new Places(definitions),
      member: memberships(definitions),
      conforms: (canonical) => {
        const profile = this.profile(canonical);
        return profile === undefined ? undefined : (item, at) => this.#conforms(profile, item, at);
      },
    };
  }

  /** A held profile; a canonical with a version asks for just that one. */
  profile(canonical: string): Profile | undefined {
    const profile = this.#definitions.profiles.get(urlOf(canonical));
    const version = canonical.slice(urlOf(canonical).length + 1);
    return version === '' || profile?.version === version ? profile : undefined;
  }

  /** Everything the profile asks of an entry of its type. */
  check(profile: Profile): ItemCheck {
    const known = this.#checks.get(profile.url);
    if (known !== undefined) return known;
    let compiled: ItemCheck | undefined;
    const check: ItemCheck = (item, at) => {
      compiled ??= this.#node(profile.root, true);
      compiled(item, at);
    };
    this.#checks.set(profile.url, check);
    return check;
  }

  #conforms(profile: Profile, item: Item, at: Judging): boolean {
    if (item.type !== profile.type) return false;
    const findings = new Findings('');
    this.check(profile)(item, { ...at, findings });
    return findings.issues().every(({ severity }) => severity !== undefined && severity !== 'error');
  }

  #node(node: ProfileElement, isRoot: boolean): ItemCheck {
    const checks = [
      typeCheck(node, this.#definitions),
      valueCheck(node),
      this.#bindingCheck(node),
      isRoot ? undefined : this.#targetCheck(node),
      isRoot ? undefined : this.#typeProfileCheck(node),
      this.#constraintCheck(node),
      this.#childrenCheck(node),
    ].filter((each) => each !== undefined);
    return (item, at) => {
      const scope = item.base === undefined && item.value !== undefined ? withResource(at, item) : at;
      for (const check of checks) if (!at.findings.full) check(item, scope);
    };
  }

  #childrenCheck(node: ProfileElement): ItemCheck | undefined {
    if (node.children.length === 0) return undefined;
    const byPlace = new Map<string, readonly ObjectCheck[]>();
    return (item, at) => {
      let checks = byPlace.get(item.definedAt);
      if (checks === undefined) {
        checks = node.children.flatMap((child) =>
          this.#child(child, this.#tools.places.of(item.definedAt, child.name)),
        );
        byPlace.set(item.definedAt, checks);
      }
      const object = objectOf(item);
      for (const check of checks) check(object, at);
    };
  }

  /** Counts the entries of a child, checks each, and sorts them into slices. */
  #child(child: ProfileElement, places: readonly Place[]): readonly ObjectCheck[] {
    if (places.length === 0) return [];
    const check = this.#node(child, false);
    const sliced = child.slices.length === 0 ? undefined : this.#slices(child);
    return [
      (object, at) => {
        const items = itemsAt(object, places);
        count(items.length, child, at);
        for (const item of items) enter(item, child.name, at, check);
        sliced?.(items, at);
      },
    ];
  }

  #slices(child: ProfileElement): (items: readonly Item[], at: Judging) => void {
    const slices = child.slices.map((slice, rank) => ({
      slice,
      rank,
      matches: this.#matcher(slice, child),
      check: this.#node(slice, false),
    }));
    const known = slices.every(({ matches }) => matches !== undefined);
    const { rules = 'open', ordered = false } = child.slicing ?? {};
    return (items, at) => {
      if (!known && items.length > 0) noteUnjudged(child, at);
      const ranks = items.map((item) => {
        const own = slices.filter(({ matches }) => matches?.(item, at) === true);
        for (const { check } of own) enter(item, child.name, at, check);
        return own[0]?.rank;
      });
      for (const { slice, matches, rank } of slices) {
        const isNested = slice.slice?.includes('/') === true;
        const held = isNested
          ? items.filter((item) => matches?.(item, at) === true)
          : ranks.filter((each) => each === rank);
        if (matches !== undefined) count(held.length, slice, at);
      }
      if (known) placement(items, ranks, child, rules, ordered, at);
    };
  }

  /** A slice of a slice (`a/b`) is one of the entries of `a`, by the discriminators of `a`. */
  #matcher(slice: ProfileElement, child: ProfileElement): Matcher | undefined {
    const cut = slice.slice?.lastIndexOf('/') ?? -1;
    if (cut === -1) return sliceMatcher(slice, child.slicing, this.#tools);
    const outer = child.slices.find((each) => each.slice === slice.slice?.slice(0, cut));
    const ofOuter = outer === undefined ? undefined : this.#matcher(outer, child);
    const own = sliceMatcher(slice, outer?.slicing, this.#tools);
    return ofOuter === undefined || own === undefined ? undefined : (item, at) => ofOuter(item, at) && own(item, at);
  }

  #bindingCheck({ binding }: ProfileElement): ItemCheck | undefined {
    if (binding === undefined) return undefined;
    const member = this.#tools.member(binding.valueSet);
    const isRequired = binding.strength === 'required';
    const name = urlOf(binding.valueSet);
    return ({ value }, { findings }) => {
      const codes = codesOf(value);
      if (value === undefined || (codes.length === 0 && !isRequired)) return;
      const found = codes.map(member);
      if (found.includes('in')) return;
      if (found.includes('unknown')) {
        findings.report(
          'not-judged',
          `The code cannot be looked up: ${name} is not held, or not whole.`,
          undefined,
          'warning',
        );
      } else if (isRequired) findings.report('profile-code', `The code is not in the required value set ${name}.`);
      else {
        const message = `The code is not in the value set ${name}, to be used where it has a suitable code.`;
        findings.report('profile-code', message, undefined, 'warning');
      }
    };
  }

  #targetCheck({ types }: ProfileElement): ItemCheck | undefined {
    const targets = types.filter(({ code }) => code === 'Reference').flatMap((type) => type.targets);
    const allowed = targets.map((each) => this.#typeOf(each));
    if (allowed.length === 0 || allowed.includes(undefined)) return undefined;
    const names = new Set(allowed);
    const { resourceTypes } = this.#definitions;
    return ({ type, value }, { findings, contained }) => {
      if (type !== 'Reference' || value === undefined || !isJsonObject(value)) return;
      const { reference, type: claimed } = value;
      const literal = typeof reference === 'string' ? reference : '';
      const target = literal.startsWith('#') ? contained.get(literal.slice(1)) : referencedType(literal, resourceTypes);
      const named = target ?? (typeof claimed === 'string' && resourceTypes.has(claimed) ? claimed : undefined);
      if (named === undefined || names.has(named)) return;
      findings.report(
        'profile-structure',
        `A reference to ${named} is not allowed here; allowed: ${[...names].join(', ')}.`,
      );
    };
  }

  /** Type that a profile of a target is about; undefined when it is not held. */
  #typeOf(canonical: string): string | undefined {
    const url = urlOf(canonical);
    const name = url.startsWith(BASE) ? url.slice(BASE.length) : '';
    return this.#definitions.resourceTypes.has(name) ? name : this.#definitions.profiles.get(url)?.type;
  }

  /** Profiles on the type: extensions by their url, data types, resources inside. One of them has to hold. */
  #typeProfileCheck({ types }: ProfileElement): ItemCheck | undefined {
    const profiled = types.filter(({ profiles }) => profiles.some((each) => !this.#isOfBase(each)));
    if (profiled.length === 0) return undefined;
    return (item, at) => {
      const named = profiled
        .filter(({ code }) => code === item.type || code === 'Resource')
        .flatMap((type) => type.profiles);
      const canonicals = named.filter((each) => !this.#isOfBase(each));
      if (canonicals.length === 0 || item.value === undefined) return;
      const held = canonicals.flatMap((each) => this.profile(each) ?? []);
      const [first, ...others] = held;
      if (held.length < canonicals.length || first === undefined) noteUnheld(canonicals, item, at);
      else if (others.length === 0) this.check(first)(item, at);
      else if (!held.some((each) => this.#conforms(each, item, at))) {
        at.findings.report('profile-structure', `None of the profiles holds: ${canonicals.join(', ')}.`);
      }
    };
  }

  /** `SimpleQuantity` and the types themselves: the base checks them. */
  #isOfBase(canonical: string): boolean {
    const name = urlOf(canonical).slice(BASE.length);
    return canonical.startsWith(BASE) && (name === 'SimpleQuantity' || this.#definitions.types.has(name));
  }

  #constraintCheck({ constraints }: ProfileElement): ItemCheck | undefined {
    const own = constraints.filter(({ key, expression }) => {
      return !IN_BASE.has(key) && this.#definitions.constraints.get(key)?.expression !== expression;
    });
    if (own.length === 0) return undefined;
    const checks = own.map((each) => constraintCheck(each));
    return (item, at) => {
      for (const check of checks) check(item, at);
    };
  }
}

const EXHAUSTED = 'The resource is too large for constraints by FHIRPath: from here on they are not evaluated.';

/** A constraint on an entry, parsed once for each place it stands at. */
export function constraintCheck({
  key,
  severity,
  expression,
}: {
  readonly key: string;
  readonly severity: 'error' | 'warning';
  readonly expression: string;
}): ItemCheck {
  const byBase = new Map<string | undefined, (input: ConstraintInput, budget: Budget) => Holding>();
  return ({ value, sibling, base }, { findings, resource, container, budget, noted }) => {
    if (value === undefined && sibling === undefined) return;
    if (budget.steps < 0) {
      if (!noted.has(EXHAUSTED)) findings.report('not-judged', EXHAUSTED, undefined, 'warning');
      noted.add(EXHAUSTED);
      return;
    }
    let holds = byBase.get(base);
    if (holds === undefined) {
      holds = constraint(expression, base);
      byBase.set(base, holds);
    }
    // The engine can't step below a number; nothing stands there, as below an empty object.
    const isBare = value === undefined || (isNumber(value) && !expression.includes('$this'));
    const held = holds({ value: isBare ? {} : plainJson(value), resource, container }, budget);
    if (held === 'unknown')
      findings.report('not-judged', `${key} cannot be evaluated here: ${expression}`, undefined, 'warning');
    if (held !== 'fails') return;
    findings.report('invariant', `${key}: ${expression}`, undefined, severity === 'warning' ? 'warning' : undefined);
  };
}

function withResource(at: Judging, { value }: Item): Judging {
  return value === undefined || at.resource === value ? at : { ...at, resource: plainJson(value) };
}

function enter(item: Item, name: string, at: Judging, check: ItemCheck): void {
  const { path } = at.findings;
  const { length } = path;
  path.push(name);
  if (item.index !== undefined) path.push(item.index);
  check(item, at);
  path.length = length;
}

function count(found: number, { name, slice, min, max }: ProfileElement, { findings }: Judging): void {
  const what = slice === undefined ? 'element' : `slice ${slice}`;
  if (found < min) {
    const kind = found === 0 ? 'profile-required' : 'profile-structure';
    findings.report(
      kind,
      `The profile requires ${min === 1 ? `the ${what}` : `at least ${min} of the ${what}`}.`,
      name,
    );
  }
  if (found > max) findings.report('profile-structure', `The profile allows at most ${max} of the ${what}.`, name);
}

function placement(
  items: readonly Item[],
  ranks: readonly (number | undefined)[],
  { name }: ProfileElement,
  rules: string,
  ordered: boolean,
  at: Judging,
): void {
  const lastSliced = ranks.findLastIndex((rank) => rank !== undefined);
  let highest = 0;
  for (const [index, item] of items.entries()) {
    const rank = ranks[index];
    const report = (message: string) => enter(item, name, at, () => at.findings.report('profile-structure', message));
    if (rank === undefined) {
      if (rules === 'closed') report('The entry belongs to no slice, and the slicing is closed.');
      if (rules === 'openAtEnd' && index < lastSliced) report('An entry of no slice stands before entries of slices.');
    } else if (ordered && rank < highest) report('The slices are not in the order of the profile.');
    highest = Math.max(highest, rank ?? 0);
  }
}

function noteUnjudged({ id, name }: ProfileElement, { findings, noted }: Judging): void {
  if (noted.has(id)) return;
  noted.add(id);
  findings.report('not-judged', 'The slices cannot be told apart here: they were not validated.', name, 'warning');
}

function noteUnheld(canonicals: readonly string[], { base }: Item, { findings, noted }: Judging): void {
  const key = `${base} ${canonicals.join(' ')}`;
  if (noted.has(key)) return;
  noted.add(key);
  findings.report(
    'profile-unknown',
    `Not validated, since it is not held: ${canonicals.join(', ')}.`,
    undefined,
    'warning',
  );
}

function typeCheck({ isChoice, types }: ProfileElement, { resourceTypes }: Definitions): ItemCheck | undefined {
  const codes = new Set(types.map(({ code }) => code));
  const isResource = codes.size > 0 && [...codes].every((code) => resourceTypes.has(code));
  if (codes.size === 0 || !(isChoice || isResource)) return undefined;
  return ({ type }, { findings }) => {
    if (type === undefined || codes.has(type)) return;
    findings.report('profile-structure', `The type ${type} is not allowed here; allowed: ${[...codes].join(', ')}.`);
  };
}

function valueCheck({ fixed, pattern }: ProfileElement): ItemCheck | undefined {
  if (fixed === undefined && pattern === undefined) return undefined;
  return ({ value }, { findings }) => {
    if (value === undefined) return;
    if (fixed !== undefined && !isSame(value, fixed))
      findings.report('profile-value', 'The value is not the fixed one.');
    if (pattern !== undefined && !holdsPattern(value, pattern)) {
      findings.report('profile-value', 'The value does not hold the pattern.');
    }
  };
}
