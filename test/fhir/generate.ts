/** Valid resources of any type, made of the definitions alone: every element filled, what breaks an invariant taken out again. From a seed. */
import {
  type Definitions,
  type ElementDefinition,
  mandatoryElements,
  type StructureDefinition,
} from '../../src/fhir/definitions/definitions.ts';
import type { Issue } from '../../src/fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../src/fhir/resource.ts';
import { pick, type Random, whole } from '../store/world.ts';

/** Never filled: other resources, texts, what the server owns. */
const LEFT_OUT = new Set(['id', 'extension', 'modifierExtension']);
const LEFT_OUT_AT_TOP = new Set(['meta', 'implicitRules', 'text', 'contained', 'language']);
const DEEPEST = 4;
const ROUNDS = 20;

interface Making {
  readonly definitions: Definitions;
  readonly next: Random;
  /** Turns through choices and targets, so that a few resources meet them all. */
  readonly turn: number;
}

const two = (value: number): string => String(value).padStart(2, '0');
const day = ({ next }: Making): string =>
  `${1950 + whole(next, 75)}-${two(1 + whole(next, 12))}-${two(1 + whole(next, 28))}`;
const instant = (making: Making): string =>
  `${day(making)}T${two(whole(making.next, 24))}:${two(whole(making.next, 60))}:${two(whole(making.next, 60))}${pick(making.next, ['Z', '+02:00', '-05:30', '.5Z'])}`;
const word = ({ next }: Making): string =>
  pick(next, ['Alpha', "O'Hara", 'Zoë', 'x-ray', 'two words', 'a,b', 'c|d', 'e$f', '100%', 'Ω']) + whole(next, 1000);
const name = ({ next }: Making): string => `n${whole(next, 100_000)}`;

const PRIMITIVES: Readonly<Record<string, (making: Making) => Json>> = {
  base64Binary: () => 'QUJD',
  boolean: ({ next }) => next() < 0.5,
  canonical: (making) => `http://example.org/${name(making)}${making.next() < 0.3 ? '|1.0' : ''}`,
  code: (making) => name(making),
  date: (making) => pick(making.next, [day(making), day(making).slice(0, 7), day(making).slice(0, 4)]),
  dateTime: (making) => pick(making.next, [instant(making), day(making), day(making).slice(0, 4)]),
  decimal: ({ next }) => whole(next, 1000) / 8,
  id: (making) => name(making),
  instant,
  integer: ({ next }) => 1 + whole(next, 50),
  markdown: (making) => word(making),
  oid: ({ next }) => `urn:oid:1.2.${1 + whole(next, 999)}`,
  positiveInt: ({ next }) => 1 + whole(next, 50),
  string: (making) => word(making),
  time: ({ next }) => `${two(whole(next, 24))}:00:00`,
  unsignedInt: ({ next }) => whole(next, 50),
  uri: (making) => `http://example.org/${name(making)}`,
  url: (making) => `http://example.org/${name(making)}`,
  uuid: () => 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520',
};

function coding(making: Making, concepts: ReadonlySet<string> | undefined): JsonObject {
  if (concepts === undefined || concepts.size === 0)
    return { system: 'http://example.org/codes', code: name(making), display: word(making) };
  const [system = '', code = ''] = pick(making.next, [...concepts]).split(/\|(?=[^|]*$)/);
  return { system, code };
}

const WEIGHT = { system: 'http://unitsofmeasure.org', code: 'kg', unit: 'kg' };
const HOUR = { system: 'http://unitsofmeasure.org', code: 'h', unit: 'h' };
const amount = ({ next }: Making): number => 1 + whole(next, 400) / 4;

/** Types whose rules are easier to keep by hand than by taking out. */
const COMPLEX: Readonly<Record<string, (making: Making, element: ElementDefinition) => Json>> = {
  Coding: (making, { requiredConcepts }) => coding(making, requiredConcepts),
  CodeableConcept: (making, { requiredConcepts }) => ({
    coding: [coding(making, requiredConcepts)],
    text: word(making),
  }),
  Quantity: (making) => ({ value: amount(making), ...WEIGHT }),
  Age: (making) => ({ value: 1 + whole(making.next, 90), system: WEIGHT.system, code: 'a', unit: 'a' }),
  Duration: (making) => ({ value: amount(making), ...HOUR }),
  Range: (making) => ({ low: { value: 1, ...WEIGHT }, high: { value: 1 + amount(making), ...WEIGHT } }),
  Ratio: (making) => ({ numerator: { value: amount(making), ...WEIGHT }, denominator: { value: 1, ...HOUR } }),
  Period: (making) =>
    pick<Json>(making.next, [
      { start: '2001-02-03', end: '2001-02-04T05:06:07Z' },
      { start: day(making) },
      { end: day(making) },
    ]),
  Timing: (making) => ({ event: [instant(making)] }),
  Money: (making) => ({ value: amount(making), currency: 'EUR' }),
  Identifier: (making) => ({
    system: 'urn:made',
    value: name(making),
    type: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR' }] },
  }),
  HumanName: (making) => ({ family: word(making), given: [word(making)], text: word(making) }),
  Address: (making) => ({
    line: [word(making)],
    city: word(making),
    state: 'ST',
    postalCode: '12345',
    country: 'XX',
    use: 'work',
  }),
  ContactPoint: (making) => ({
    system: pick(making.next, ['phone', 'email']),
    value: `${name(making)}@X.example`,
    use: 'work',
  }),
  Annotation: (making) => ({ text: word(making) }),
  Attachment: (making) => ({
    contentType: 'text/plain',
    title: word(making),
    url: 'http://example.org/a',
    creation: day(making),
  }),
  SampledData: () => ({ origin: { value: 0 }, period: 1, dimensions: 1, data: '1 2' }),
  Signature: (making) => ({ type: [coding(making, undefined)], when: '2001-02-03T04:05:06Z', who: { display: 'x' } }),
  Expression: () => ({ language: 'text/fhirpath', expression: 'true' }),
  UsageContext: (making) => ({
    code: { system: 'http://terminology.hl7.org/CodeSystem/usage-context-type', code: 'age' },
    ...usage(making),
  }),
  RelatedArtifact: (making) => ({
    type: pick(making.next, ['depends-on', 'composed-of', 'derived-from', 'predecessor', 'successor']),
    resource: `http://example.org/${name(making)}`,
  }),
  Dosage: (making) => ({ text: word(making) }),
  TriggerDefinition: () => ({ type: 'named-event', name: 'x' }),
  DataRequirement: () => ({ type: 'Patient' }),
  ElementDefinition: () => ({ path: 'Patient.name' }),
};
const usage = (making: Making): JsonObject =>
  pick<JsonObject>(making.next, [
    { valueCodeableConcept: { coding: [coding(making, undefined)] } },
    { valueQuantity: { value: amount(making), ...WEIGHT } },
    { valueRange: { low: { value: 1, ...WEIGHT }, high: { value: 9, ...WEIGHT } } },
  ]);

function referenceTo(making: Making, targets: readonly string[], shift: number): JsonObject {
  const of = targets.filter((each) => each !== 'Resource');
  const type = of.length === 0 ? 'Patient' : (of[(making.turn + shift) % of.length] ?? 'Patient');
  return { reference: `${type}/${name(making)}`, identifier: { system: 'urn:made', value: name(making) } };
}

function valueFor(
  element: ElementDefinition,
  code: string,
  making: Making,
  depth: number,
  shift: number,
): Json | undefined {
  if (code === 'code' && element.requiredCodes !== undefined && element.requiredCodes.size > 0)
    return pick(making.next, [...element.requiredCodes]);
  if (code === 'Reference')
    return referenceTo(making, element.types.find((type) => type.code === 'Reference')?.targets ?? [], shift);
  const made = PRIMITIVES[code]?.(making) ?? COMPLEX[code]?.(making, element);
  if (made !== undefined) return made;
  const structure = making.definitions.structure(code);
  if (code === 'Resource' || structure === undefined || structure.kind === 'resource') return undefined;
  return code === 'BackboneElement' || code === 'Element' ? undefined : objectOf(structure, code, making, depth + 1);
}

/** The elements directly below `path`, each with a value where one can be made. */
function objectOf(structure: StructureDefinition, path: string, making: Making, depth: number): JsonObject | undefined {
  const made: Record<string, Json> = {};
  const below = path.split('.').length + 1;
  for (const element of structure.elements) {
    if (!element.path.startsWith(`${path}.`) || element.path.split('.').length !== below) continue;
    const last = element.path.slice(path.length + 1);
    if (
      LEFT_OUT.has(last) ||
      (depth === 0 && LEFT_OUT_AT_TOP.has(last)) ||
      element.max === 0 ||
      (depth >= DEEPEST && element.min === 0)
    )
      continue;
    const type = element.types[(making.turn + whole(making.next, 2)) % Math.max(1, element.types.length)];
    const isInline = type === undefined || type.code === 'BackboneElement' || type.code === 'Element';
    const content = element.contentReference?.slice(1) ?? element.path;
    const one = (shift: number): Json | undefined =>
      isInline ? objectOf(structure, content, making, depth + 1) : valueFor(element, type.code, making, depth, shift);
    const values = Array.from({ length: element.max > 1 ? 2 : 1 }, (_, shift) => one(shift)).filter(
      (each) => each !== undefined,
    );
    const [value] = values;
    if (value === undefined) continue;
    const key = last.endsWith('[x]')
      ? last.slice(0, -3) + (type?.code ?? '').replace(/^./, (letter) => letter.toUpperCase())
      : last;
    made[key] = element.max > 1 ? values : value;
  }
  return Object.keys(made).length === 0 ? undefined : made;
}

type Step = string | number;

function at(resource: JsonObject, steps: readonly Step[]): Json | undefined {
  let here: Json | undefined = resource;
  for (const step of steps) here = typeof here === 'object' && here !== null ? Reflect.get(here, step) : undefined;
  return here;
}

/** An array that is left empty goes with its last item. */
function remove(resource: JsonObject, steps: readonly Step[]): void {
  const last = steps.at(-1);
  const holder = at(resource, steps.slice(0, -1));
  if (Array.isArray(holder) && typeof last === 'number') {
    holder.splice(last, 1);
    if (holder.length === 0) remove(resource, steps.slice(0, -1));
  } else if (isJsonObject(holder) && last !== undefined) Reflect.deleteProperty(holder, last);
}

/** Takes out what an issue is about: one of the elements that an invariant names, or what it points at; `round` says which, and how far above. */
function takeOut(
  resource: JsonObject,
  { expression = '', message }: Issue,
  round: number,
  kept: ReadonlySet<string>,
): void {
  const path = [...expression.matchAll(/\.([A-Za-z0-9]+)|\[(\d+)\]/g)].map(
    ([, field, index]) => field ?? Number(index),
  );
  const place = at(resource, path);
  const words = new Set(/^[a-z]+-\d+:/.test(message) ? message.match(/[A-Za-z]+/g) : []);
  const named = isJsonObject(place)
    ? Object.keys(place)
        .filter((key) => !kept.has(key))
        .filter((key) => words.has(key) || words.has(key.replace(/[A-Z].*$/, '')))
    : [];
  const key = named[round % Math.max(1, named.length)];
  if (key !== undefined) remove(resource, [...path, key]);
  else if (path.length > 0) remove(resource, path.slice(0, Math.max(1, path.length - Math.floor(round / 4))));
}

/**
 * A resource that `validate` accepts; undefined when none was found.
 * @param turn which of the choices and targets: a few turns meet them all
 */
export function generated(
  type: string,
  id: string,
  turn: number,
  next: Random,
  definitions: Definitions,
  validate: (resource: Resource) => readonly Issue[],
): Resource | undefined {
  const structure = definitions.structure(type);
  if (structure === undefined) return undefined;
  const content = objectOf(structure, type, { definitions, next, turn }, 0) ?? {};
  const tag = [{ system: 'urn:made', code: 'generated' }];
  const meta = {
    tag,
    security: [{ system: 'urn:made', code: 's' }],
    source: 'urn:made:source',
    profile: ['http://example.org/made'],
  };
  const resource = { resourceType: type, id, meta, ...content } as Resource;
  const kept = new Set([...mandatoryElements(definitions, type), 'resourceType', 'id', 'meta']);
  for (let round = 0; round < ROUNDS; round++) {
    const faults = validate(resource).filter(({ severity = 'error' }) => severity === 'error');
    if (faults.length === 0) return resource;
    for (const fault of faults.toReversed()) takeOut(resource, fault, round + turn, kept);
  }
  return undefined;
}
