/**
 * A Consent as the rule it makes: plain, and only what is judged. Source: FHIR R4 consent.html (Consent.provision), v3-ActCode (OPTIN, OPTOUT).
 * What one Consent says of actors, purposes and periods is decided for a caller and an instant; the rest becomes predicates (consent-regions.ts).
 */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../fhir/resource.ts';
import { intervalOf } from '../fhir/time.ts';

export interface ConsentCode {
  readonly system: string | undefined;
  readonly code: string;
}
/** One provision; its nested ones are exceptions to it. */
export interface Provision {
  readonly type: 'deny' | 'permit';
  /** ms since 1970, [low, high). */
  readonly period: readonly [low: number, high: number];
  /** References and identifiers of whom it is about; empty = everyone. */
  readonly actors: readonly string[];
  readonly purposes: readonly string[];
  readonly labels: readonly string[];
  readonly classes: readonly ConsentCode[];
  readonly codes: readonly ConsentCode[];
  readonly dataPeriod: readonly [low: number, high: number] | undefined;
  readonly data: readonly { readonly meaning: string; readonly reference: string }[];
  readonly exceptions: readonly Provision[];
}
export interface ConsentRule {
  readonly patient: string;
  /** Consent.dateTime, ms since 1970: not in force before. */
  readonly from: number;
  readonly root: Provision;
}

const PRIVACY = 'patient-privacy';
/** Deeper nests are not judged; a Consent that has them denies. */
const DEEPEST = 16;

/** The rule of an active Consent about privacy; undefined for what rules nothing. Local references only, relative. */
export function ruleOf(resource: Resource, local: (reference: string) => string | undefined): ConsentRule | undefined {
  if (resource.resourceType !== 'Consent' || resource.status !== 'active') return undefined;
  if (!codesIn([resource.scope]).some(({ code }) => code === PRIVACY)) return undefined;
  const patient = referenceIn(resource.patient, local)?.match(/^Patient\/([^/]+)$/)?.[1];
  if (patient === undefined) return undefined;
  const isOptOut = codesIn([resource.policyRule]).some(({ code }) => code.startsWith('OPTOUT'));
  const given = isJsonObject(resource.provision) ? resource.provision : {};
  const root = provisionOf(given, isOptOut ? 'deny' : 'permit', local, 0);
  const from = typeof resource.dateTime === 'string' ? (intervalOf(resource.dateTime)?.low ?? LEAST) : LEAST;
  return { patient, from, root };
}

/** Whether a provision can deny anything to anybody at any time. */
export const mayDeny = ({ type, exceptions }: Provision): boolean => type === 'deny' || exceptions.some(mayDeny);

/** The first and last instants of ECMAScript: bounds that every engine and every JSON can hold. */
const LEAST = -8.64e15;
const MOST = 8.64e15;

/** @param type what holds when the provision does not say it */
function provisionOf(
  given: JsonObject,
  type: Provision['type'],
  local: (reference: string) => string | undefined,
  depth: number,
): Provision {
  const said = given.type === 'deny' || given.type === 'permit' ? given.type : type;
  return {
    type: depth > DEEPEST ? 'deny' : said,
    period: periodIn(given.period) ?? [LEAST, MOST],
    actors: actorsIn(list(given.actor), local),
    purposes: codesIn(list(given.purpose)).map(({ code }) => code),
    labels: codesIn(list(given.securityLabel)).map(({ code }) => code),
    classes: codesIn(list(given.class)),
    codes: codesIn(list(given.code)),
    dataPeriod: periodIn(given.dataPeriod),
    data: list(given.data).flatMap((each) => {
      const reference = isJsonObject(each) ? referenceIn(each.reference, local) : undefined;
      const meaning = isJsonObject(each) && typeof each.meaning === 'string' ? each.meaning : '';
      return [{ meaning, reference: reference ?? '' }];
    }),
    exceptions:
      depth > DEEPEST
        ? []
        : list(given.provision).flatMap((each) =>
            isJsonObject(each) ? [provisionOf(each, 'deny', local, depth + 1)] : [],
          ),
  };
}

/** Whom a provision names; a name that nobody here can be matched with stands for nobody. */
function actorsIn(given: readonly Json[], local: (reference: string) => string | undefined): readonly string[] {
  return given.flatMap((each) => {
    const actor = isJsonObject(each) && isJsonObject(each.reference) ? each.reference : {};
    const identifier = isJsonObject(actor.identifier) ? actor.identifier.value : undefined;
    const named = [referenceIn(actor, local), typeof identifier === 'string' ? identifier : undefined];
    const known = named.filter((name) => name !== undefined);
    return known.length === 0 ? [''] : known;
  });
}

function referenceIn(given: Json | undefined, local: (reference: string) => string | undefined): string | undefined {
  const text = isJsonObject(given) && typeof given.reference === 'string' ? given.reference : undefined;
  return text === undefined ? undefined : (local(text) ?? text);
}

function periodIn(given: Json | undefined): readonly [number, number] | undefined {
  if (!isJsonObject(given)) return undefined;
  const start = typeof given.start === 'string' ? intervalOf(given.start)?.low : undefined;
  const end = typeof given.end === 'string' ? intervalOf(given.end)?.high : undefined;
  return [start ?? LEAST, end ?? MOST];
}

/** Codings, and codings of CodeableConcepts. */
function codesIn(given: readonly (Json | undefined)[]): readonly ConsentCode[] {
  return given.flatMap((each): readonly ConsentCode[] => {
    if (!isJsonObject(each)) return [];
    if (Array.isArray(each.coding)) return codesIn(each.coding);
    const system = typeof each.system === 'string' ? each.system : undefined;
    return typeof each.code === 'string' ? [{ system, code: each.code }] : [];
  });
}

const list = (given: Json | undefined): readonly Json[] => (Array.isArray(given) ? given : []);
