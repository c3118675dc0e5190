/**
 * A resource without what tells whose it is, by rules (deidentification/rules.json): an element that no rule keeps is removed, and so is what the
 * definitions do not know. Required elements that went say so (data-absent-reason `masked`). Source: 45 CFR 164.514(b)(2); docs/privacy.md.
 */
import type { ElementDefinition } from '../fhir/definitions/definitions.ts';
import { jsonNames } from '../fhir/definitions/definitions.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../fhir/resource.ts';
import { type Action, actionOf, type Mode } from './rules.ts';
import { type Place, type ValueSettings, valueRules } from './value.ts';

export interface DeidentifySettings extends ValueSettings {
  readonly mode: Mode;
}
/** @returns undefined for a resource that is not given: of a type without rules, or with a modifier that could not be kept */
export type Deidentify = (resource: Resource, patients: readonly string[]) => Resource | undefined;

/** One JSON property that an object may have. */
interface Field {
  readonly element: ElementDefinition;
  readonly type: string;
  readonly action: Action;
  readonly isSimple: boolean;
  /** `walk`: whose properties it has, as the path they begin with. */
  readonly content: string;
}
type About = Pick<Place, 'patient' | 'isAge' | 'isUsa'>;

const ABSENT = {
  extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'masked' }],
};
/** Without what they say, the rest of the resource would mean something else. */
const MODIFIERS: ReadonlySet<string> = new Set(['modifierExtension', 'implicitRules']);
/** Types whose parts are those of the element itself. */
const INLINE: ReadonlySet<string> = new Set(['BackboneElement', 'Element']);

export function deidentifier(settings: DeidentifySettings): Deidentify {
  const { rules, pseudonyms, mode } = settings;
  const walk = new Walk(settings);
  const given = new Set(rules.resources);
  const ages = new Set(rules.ageCodes);
  const meta = { security: [rules.modes[mode].label] };
  return (resource, patients) => {
    const { resourceType: type, id } = resource;
    if (!given.has(type) || hasModifier(resource)) return undefined;
    const [patient, ...others] = patients;
    const about = { patient: others.length === 0 ? patient : undefined, isAge: false, isUsa: false };
    const content = walk.object(type, resource, about, ages) ?? {};
    return { resourceType: type, ...(id === undefined ? {} : { id: pseudonyms.id(type, id) }), meta, ...content };
  };
}

function hasModifier(value: Json | undefined): boolean {
  if (Array.isArray(value)) return value.some(hasModifier);
  return isJsonObject(value) && Object.entries(value).some(([name, each]) => MODIFIERS.has(name) || hasModifier(each));
}

class Walk {
  readonly #settings: DeidentifySettings;
  readonly #values: ReturnType<typeof valueRules>;
  readonly #fields = new Map<string, ReadonlyMap<string, Field>>();

  constructor(settings: DeidentifySettings) {
    this.#settings = settings;
    this.#values = valueRules(settings);
  }

  /** undefined when nothing is left. */
  object(path: string, object: JsonObject, about: About, ages: ReadonlySet<string>): JsonObject | undefined {
    const fields = this.#fieldsOf(path);
    const coded = isJsonObject(object.code) ? { ...about, isAge: isCodedAs(object.code, ages) } : about;
    const here = object.postalCode === undefined ? coded : { ...coded, isUsa: this.#isUsa(object) };
    const kept: Record<string, Json> = {};
    const extension = this.#extensions(object.extension);
    if (extension !== undefined) kept.extension = extension;
    for (const name of Object.keys(object)) {
      const stem = name.startsWith('_') ? name.slice(1) : name;
      const field = fields.get(stem);
      if (field === undefined || stem in kept || `_${stem}` in kept) continue;
      this.#put(kept, stem, field, object, here, ages);
    }
    return Object.keys(kept).length === 0 ? undefined : kept;
  }

  /** By the country; where none is said, by a state that is one of the USA. */
  #isUsa({ country, state }: JsonObject): boolean {
    const { states, zipCountries } = this.#settings.rules;
    if (typeof country === 'string') return zipCountries.includes(country);
    return typeof state === 'string' && states.includes(state);
  }

  #put(
    kept: Record<string, Json>,
    name: string,
    field: Field,
    object: JsonObject,
    about: About,
    ages: ReadonlySet<string>,
  ) {
    const { element } = field;
    const list = object[name];
    const isList = Array.isArray(list);
    const values = (isList ? list : [list]).flatMap((each) => {
      const value = each === undefined || each === null ? undefined : this.#value(each, field, about, ages);
      return value === undefined ? [] : [value];
    });
    const [first] = values;
    if (first !== undefined) kept[name] = isList ? values : first;
    const companion = object[`_${name}`];
    const extension = isJsonObject(companion) ? this.#extensions(companion.extension) : undefined;
    if (field.action !== 'remove' && extension !== undefined) kept[`_${name}`] = { extension };
    const told = this.#settings.rules.aggregated[element.path];
    if (first === undefined && told !== undefined && list !== undefined) {
      kept[`_${name}`] = { extension: [{ url: told, valueBoolean: true }] };
    }
    if (first !== undefined || `_${name}` in kept || (element.min === 0 && field.action !== 'mask')) return;
    const isPrimitive = companion !== undefined || !isJsonObject(isList ? list[0] : list);
    if (isPrimitive) kept[`_${name}`] = isList ? [ABSENT] : ABSENT;
    else kept[name] = isList ? [ABSENT] : ABSENT;
  }

  #value(value: Json, field: Field, about: About, ages: ReadonlySet<string>): Json | undefined {
    if (field.action === 'remove' || field.action === 'mask') return undefined;
    if (field.action !== 'walk') return this.#values[field.action](value, { ...field, ...about });
    return isJsonObject(value) ? this.object(field.content, value, about, ages) : undefined;
  }

  /** Those of the allow-list, with the values that are allowed. */
  #extensions(extensions: Json | undefined): readonly Json[] | undefined {
    const { extensions: rules } = this.#settings.rules;
    const kept = (Array.isArray(extensions) ? extensions.filter(isJsonObject) : []).flatMap((each): Json[] => {
      const { url, valueCode, extension } = each;
      const rule = typeof url === 'string' && Object.hasOwn(rules, url) ? rules[url] : undefined;
      if (typeof url !== 'string' || rule === undefined) return [];
      if ('codes' in rule) {
        return typeof valueCode === 'string' && rule.codes.includes(valueCode) ? [{ url, valueCode }] : [];
      }
      const parts = this.#parts(extension, rule.parts);
      return parts.length === 0 ? [] : [{ url, extension: parts }];
    });
    return kept.length === 0 ? undefined : kept;
  }

  #parts(parts: Json | undefined, names: readonly string[]): Json[] {
    return (Array.isArray(parts) ? parts.filter(isJsonObject) : []).flatMap(({ url, valueCoding }): Json[] => {
      const coding = valueCoding === undefined ? undefined : this.#values.coding(valueCoding, NOWHERE);
      return typeof url === 'string' && names.includes(url) && coding !== undefined
        ? [{ url, valueCoding: coding }]
        : [];
    });
  }

  #fieldsOf(path: string): ReadonlyMap<string, Field> {
    const known = this.#fields.get(path);
    if (known !== undefined) return known;
    const { definitions, rules, mode } = this.#settings;
    const [type = ''] = path.split('.');
    const fields = new Map<string, Field>();
    const depth = path.split('.').length + 1;
    for (const element of definitions.structure(type)?.elements ?? []) {
      if (!element.path.startsWith(`${path}.`) || element.path.split('.').length !== depth) continue;
      const names = jsonNames(element);
      if (element.contentReference !== undefined) {
        const content = element.contentReference.slice(1);
        for (const name of names) fields.set(name, { element, type: '', action: 'walk', isSimple: false, content });
        continue;
      }
      for (const [index, each] of element.types.entries()) {
        const rule =
          rules.paths[`${element.path} as ${each.code}`] ?? rules.paths[element.path] ?? rules.types[each.code];
        const content = INLINE.has(each.code) ? element.path : each.code;
        const name = names.length === 1 ? names[0] : names[index];
        const action = rule === undefined ? 'remove' : actionOf(rule, mode);
        if (name !== undefined)
          fields.set(name, { element, type: each.code, action, isSimple: each.profile === 'SimpleQuantity', content });
      }
    }
    this.#fields.set(path, fields);
    return fields;
  }
}

const NOWHERE: Place = {
  element: { path: '', min: 0, max: 1, types: [], summary: false, constraints: [] },
  ...{ type: 'Coding', isSimple: false, isAge: false, isUsa: false, patient: undefined },
};

function isCodedAs({ coding }: JsonObject, codes: ReadonlySet<string>): boolean {
  return (Array.isArray(coding) ? coding.filter(isJsonObject) : []).some(({ system, code }) =>
    codes.has(`${String(system)}|${String(code)}`),
  );
}
