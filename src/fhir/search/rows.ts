/**
 * THE table: search parameter type x element type -> index rows. Source: FHIR R4 search.html#token, #string, #date, #quantity, #reference, #uri.
 * Encodings beside the plain rows:
 * - Identifier: also token rows under `<key>:of-type`, system `<type system>|<type code>`, code the identifier's value;
 * - display and text of Coding, CodeableConcept and Identifier.type: string rows under `<key>:text`, but not in composites;
 * - Reference.identifier: token rows under `<key>:identifier`;
 * - Quantity: `<system>|<code>` as sent, `|<unit>` for the unit text (or code) under another or no system, `canonical|<base>` in base units.
 */
import type { SearchParameterType } from '../definitions/definitions.ts';
import type { Place, Scope } from '../path/path.ts';
import { canonicalQuantity, UCUM } from '../quantity.ts';
import { isJsonObject, isNumber, type Json, type JsonObject, numberOf } from '../resource.ts';
import { type Interval, intervalOf, periodInterval, timingInterval } from '../time.ts';
import type { IndexEntry, ParameterKey } from './algebra.ts';
import type { Fragment } from './contained.ts';
import { latitudeKey, longitudeKey } from './near.ts';
import { canonicalParts, exact, folded, foldedJoined, localReference } from './value.ts';

/** `start` is where the rows of the current parameter begin: duplicates are looked for from there. */
export interface RowScope extends Scope {
  readonly rows: IndexEntry[];
  /** References into the resource's own contained resources, as they are met. */
  readonly fragments: Fragment[];
  start: number;
  group: number;
}
export interface RowSettings {
  readonly fhirBase: string;
}
export type RowVisit = (value: Json, scope: RowScope) => void;
type RowMaker = (key: ParameterKey, place: Place, settings: RowSettings) => RowVisit;

/** Beyond this many rows of one parameter a linear look for duplicates costs more than it saves the engine. */
const DUPLICATE_WINDOW = 200;

/** Appends a row unless the parameter already has it. */
function add(scope: RowScope, entry: IndexEntry): void {
  const { rows } = scope;
  for (let index = Math.max(scope.start, rows.length - DUPLICATE_WINDOW); index < rows.length; index++) {
    const other = rows[index];
    if (other !== undefined && sameEntry(other, entry)) return;
  }
  rows.push(entry);
}

function sameEntry(a: IndexEntry, b: IndexEntry): boolean {
  if (a.parameter !== b.parameter || a.group !== b.group) return false;
  switch (a.kind) {
    case 'token':
      return b.kind === 'token' && a.code === b.code && a.system === b.system;
    case 'string':
      return b.kind === 'string' && a.exact === b.exact && a.folded === b.folded;
    case 'reference':
      return b.kind === 'reference' && a.target === b.target && a.version === b.version;
    case 'date':
      return b.kind === 'date' && a.low === b.low && a.high === b.high;
    case 'quantity':
      return b.kind === 'quantity' && a.low === b.low && a.high === b.high && a.unit === b.unit;
    case 'uri':
      return b.kind === 'uri' && a.value === b.value;
    case 'text':
      return b.kind === 'text' && a.text === b.text;
    default:
      return a satisfies never;
  }
}

const textOf = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

function addToken(scope: RowScope, parameter: ParameterKey, system: string, code: string): void {
  if (system === '' && code === '') return;
  add(scope, { kind: 'token', parameter, system, code, group: scope.group });
}

/** Where the text of a token is kept; derived keys and components of composites have none. */
const textKeyOf = (key: ParameterKey): ParameterKey | undefined => (/[$:]/.test(key) ? undefined : `${key}:text`);

function addText(scope: RowScope, key: ParameterKey | undefined, value: Json | undefined): void {
  if (key !== undefined) addString(scope, key, value);
}

const coding: RowMaker = (key) => {
  const textKey = textKeyOf(key);
  return (value, scope) => {
    if (!isJsonObject(value)) return;
    addToken(scope, key, textOf(value.system), textOf(value.code));
    addText(scope, textKey, value.display);
  };
};
const codeableConcept: RowMaker = (key, place, settings) => {
  const each = coding(key, place, settings);
  const textKey = textKeyOf(key);
  return (value, scope) => {
    if (!isJsonObject(value)) return;
    addText(scope, textKey, value.text);
    if (!Array.isArray(value.coding)) return;
    for (const one of value.coding) each(one, scope);
  };
};
const identifier: RowMaker = (key) => {
  const ofType = `${key}:of-type`;
  const textKey = textKeyOf(key);
  return (value, scope) => {
    if (!isJsonObject(value)) return;
    const code = textOf(value.value);
    addToken(scope, key, textOf(value.system), code);
    const type = value.type;
    if (isJsonObject(type)) addText(scope, textKey, type.text);
    if (code === '' || !isJsonObject(type) || !Array.isArray(type.coding)) return;
    for (const one of type.coding) {
      if (isJsonObject(one)) addToken(scope, ofType, `${textOf(one.system)}|${textOf(one.code)}`, code);
    }
  };
};
/** Phone numbers and addresses of mail are compared without case. */
const contactPoint: RowMaker = (key) => (value, scope) => {
  const contact = isJsonObject(value) ? textOf(value.value).toLowerCase() : '';
  if (isJsonObject(value) && contact !== '') addToken(scope, key, textOf(value.use), contact);
};
/** A code's system is implied by its required binding, where that can be enumerated. */
const code: RowMaker = (key, { element }) => {
  const systems = new Map<string, string>();
  for (const concept of element?.requiredConcepts ?? []) {
    const bar = concept.lastIndexOf('|');
    systems.set(concept.slice(bar + 1), concept.slice(0, bar));
  }
  return (value, scope) => {
    if (typeof value === 'string') addToken(scope, key, systems.get(value) ?? '', value);
  };
};
const plainToken: RowMaker = (key) => (value, scope) => {
  if (typeof value === 'string') addToken(scope, key, '', value);
};
/** A token that is a text is compared without case: search.html#token. */
const textToken: RowMaker = (key) => (value, scope) => {
  if (typeof value === 'string') addToken(scope, key, '', value.toLowerCase());
};
const boolean: RowMaker = (key) => (value, scope) => {
  if (typeof value === 'boolean') addToken(scope, key, '', String(value));
};

function addString(scope: RowScope, parameter: ParameterKey, value: Json | undefined): void {
  if (typeof value !== 'string' || value === '') return;
  const row = { kind: 'string', parameter, exact: exact(value), group: scope.group } as const;
  add(scope, { ...row, folded: folded(value) });
  const joined = foldedJoined(value);
  if (joined !== undefined) add(scope, { ...row, folded: joined });
}
const plainString: RowMaker = (key) => (value, scope) => addString(scope, key, value);
/** Every named part of a complex type, each occurrence a row of its own. */
const parts =
  (names: readonly string[]): RowMaker =>
  (key) =>
  (value, scope) => {
    if (!isJsonObject(value)) return;
    for (const name of names) {
      const part = value[name];
      if (Array.isArray(part)) for (const one of part) addString(scope, key, one);
      else addString(scope, key, part);
    }
  };

function addDate(scope: RowScope, parameter: ParameterKey, interval: Interval | undefined): void {
  if (interval === undefined) return;
  add(scope, { kind: 'date', parameter, low: interval.low, high: interval.high, group: scope.group });
}
const date: RowMaker = (key) => (value, scope) => {
  if (typeof value === 'string') addDate(scope, key, intervalOf(value));
};
const period: RowMaker = (key) => (value, scope) => {
  if (isJsonObject(value)) addDate(scope, key, periodInterval(value));
};
const timing: RowMaker = (key) => (value, scope) => {
  if (isJsonObject(value)) addDate(scope, key, timingInterval(value));
};

/** Ends of an open range: finite, so that every engine can store them. */
const LEAST = -Number.MAX_VALUE;
const MOST = Number.MAX_VALUE;
interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** `<5` says at most 5, `>5` at least 5: the rest of the line belongs to it. */
function boundsOf(quantity: JsonObject): Bounds | undefined {
  if (!isNumber(quantity.value)) return undefined;
  const value = numberOf(quantity.value);
  const comparator = textOf(quantity.comparator);
  if (comparator.startsWith('<')) return { low: LEAST, high: value };
  if (comparator.startsWith('>')) return { low: value, high: MOST };
  return { low: value, high: value };
}

function addQuantity(scope: RowScope, parameter: ParameterKey, unit: string, { low, high }: Bounds): void {
  add(scope, { kind: 'quantity', parameter, unit, low, high, group: scope.group });
}

function addUnits(scope: RowScope, key: ParameterKey, unit: JsonObject, bounds: Bounds): void {
  const system = textOf(unit.system);
  const unitCode = textOf(unit.code);
  const unitText = textOf(unit.unit);
  if (system !== '' && unitCode !== '') addQuantity(scope, key, `${system}|${unitCode}`, bounds);
  if (unitCode !== '' && system !== UCUM) addQuantity(scope, key, `|${unitCode}`, bounds);
  if (unitText !== '' && (unitText !== unitCode || system !== UCUM)) addQuantity(scope, key, `|${unitText}`, bounds);
  if (unitCode === '' && unitText === '') addQuantity(scope, key, '', bounds);
  if (system !== UCUM) return;
  const low = canonicalEnd(bounds.low, unitCode);
  const high = canonicalEnd(bounds.high, unitCode);
  if (low === undefined || high === undefined) return;
  addQuantity(scope, key, `canonical|${low.unit}`, { low: low.value, high: high.value });
}

/** An open end stays open in any unit. */
function canonicalEnd(value: number, unitCode: string): { readonly unit: string; readonly value: number } | undefined {
  const open = value === LEAST || value === MOST;
  const canonical = canonicalQuantity(open ? 0 : value, unitCode);
  return canonical === undefined || !open ? canonical : { unit: canonical.unit, value };
}

const quantity: RowMaker = (key) => (value, scope) => {
  if (!isJsonObject(value)) return;
  const bounds = boundsOf(value);
  if (bounds !== undefined) addUnits(scope, key, value, bounds);
};
const money: RowMaker = (key) => (value, scope) => {
  if (!isJsonObject(value) || !isNumber(value.value)) return;
  const amount = numberOf(value.value);
  addUnits(scope, key, { system: 'urn:iso:std:iso:4217', code: textOf(value.currency) }, { low: amount, high: amount });
};

/** Both ends of a Range, with the unit of the end that has one; undefined when it has no end or is reversed. */
function rangeBounds(value: Json): { readonly unit: JsonObject; readonly bounds: Bounds } | undefined {
  if (!isJsonObject(value)) return undefined;
  const low = isJsonObject(value.low) ? value.low : undefined;
  const high = isJsonObject(value.high) ? value.high : undefined;
  const unit = low ?? high;
  if (unit === undefined) return undefined;
  const bounds = {
    low: low !== undefined && isNumber(low.value) ? numberOf(low.value) : LEAST,
    high: high !== undefined && isNumber(high.value) ? numberOf(high.value) : MOST,
  };
  return bounds.low <= bounds.high && (bounds.low !== LEAST || bounds.high !== MOST) ? { unit, bounds } : undefined;
}
const range: RowMaker = (key) => (value, scope) => {
  const found = rangeBounds(value);
  if (found !== undefined) addUnits(scope, key, found.unit, found.bounds);
};
const numberRange: RowMaker = (key) => (value, scope) => {
  const found = rangeBounds(value);
  if (found !== undefined) addQuantity(scope, key, '', found.bounds);
};
const number: RowMaker = (key) => (value, scope) => {
  if (!isNumber(value)) return;
  const point = numberOf(value);
  addQuantity(scope, key, '', { low: point, high: point });
};

function addReference(scope: RowScope, parameter: ParameterKey, text: string, fhirBase: string): void {
  if (text.startsWith('#') && scope.group === 0) scope.fragments.push({ parameter, id: text.slice(1) });
  if (text === '' || text.startsWith('#')) return;
  const local = localReference(text, fhirBase);
  if (local !== undefined) {
    add(scope, { kind: 'reference', parameter, target: local, version: '', group: scope.group });
    return;
  }
  const { url, version } = canonicalParts(text);
  add(scope, { kind: 'reference', parameter, target: url, version, group: scope.group });
}
const reference: RowMaker = (key, place, settings) => {
  const byIdentifier = identifier(`${key}:identifier`, place, settings);
  return (value, scope) => {
    if (!isJsonObject(value)) return;
    addReference(scope, key, textOf(value.reference), settings.fhirBase);
    if (value.identifier !== undefined) byIdentifier(value.identifier, scope);
  };
};
const link: RowMaker =
  (key, _place, { fhirBase }) =>
  (value, scope) =>
    addReference(scope, key, textOf(value), fhirBase);
/** Bundle.entry[0].resource: the resource itself is the target. */
const resource: RowMaker =
  (key, _place, { fhirBase }) =>
  (value, scope) => {
    if (!isJsonObject(value) || textOf(value.id) === '') return;
    addReference(scope, key, `${textOf(value.resourceType)}/${textOf(value.id)}`, fhirBase);
  };

const uri: RowMaker = (key) => (value, scope) => {
  if (typeof value !== 'string' || value === '') return;
  add(scope, { kind: 'uri', parameter: key, value, group: scope.group });
};

/** Location.position, for `near`. */
const position: RowMaker = (key) => (value, scope) => {
  if (!isJsonObject(value) || !isNumber(value.latitude) || !isNumber(value.longitude)) return;
  for (const [parameter, degrees] of [
    [latitudeKey(key), numberOf(value.latitude)],
    [longitudeKey(key), numberOf(value.longitude)],
  ] as const) {
    addQuantity(scope, parameter, '', { low: degrees, high: degrees });
  }
};

const ADDRESS_PARTS = ['text', 'line', 'city', 'district', 'state', 'postalCode', 'country'];
const NAME_PARTS = ['text', 'family', 'given', 'prefix', 'suffix'];
const NUMBERS = { integer: number, decimal: number, positiveInt: number, unsignedInt: number } as const;
const NOTHING: Readonly<Record<string, RowMaker>> = {};

const ROWS: Readonly<Record<SearchParameterType, Readonly<Record<string, RowMaker>>>> = {
  token: {
    Coding: coding,
    CodeableConcept: codeableConcept,
    Identifier: identifier,
    ContactPoint: contactPoint,
    boolean,
    code,
    string: textToken,
    id: plainToken,
    uri: plainToken,
    url: plainToken,
    canonical: plainToken,
    oid: plainToken,
  },
  string: {
    string: plainString,
    markdown: plainString,
    code: plainString,
    HumanName: parts(NAME_PARTS),
    Address: parts(ADDRESS_PARTS),
  },
  date: { date, dateTime: date, instant: date, Period: period, Timing: timing },
  number: { ...NUMBERS, Range: numberRange },
  quantity: {
    Quantity: quantity,
    Age: quantity,
    Duration: quantity,
    Count: quantity,
    Distance: quantity,
    Money: money,
    Range: range,
  },
  reference: { Reference: reference, canonical: link, uri: link, url: link, Resource: resource },
  uri: { uri, url: uri, canonical: uri, oid: uri, uuid: uri },
  composite: NOTHING,
  special: { BackboneElement: position },
};

/** The rows of elements of a place for a parameter of `type`; undefined = the specification gives no meaning to the pair. */
export function rowVisit(
  type: SearchParameterType,
  key: ParameterKey,
  place: Place,
  settings: RowSettings,
): RowVisit | undefined {
  const makers = ROWS[type];
  return Object.hasOwn(makers, place.type) ? makers[place.type]?.(key, place, settings) : undefined;
}
