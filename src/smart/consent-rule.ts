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
/** Stands where a condition has no code. */
export const UNKNOWN = '';

/** Whom a provision names, in which roles (codes). */
export interface ConsentActor {
  readonly names: readonly string[];
  readonly roles: readonly string[];
}
/** One provision; its nested ones are exceptions to it. */
export interface Provision {
  readonly type: 'deny' | 'permit';
  /** ms since 1970, [low, high). */
  readonly period: readonly [low: number, high: number];
  /** By references and identifiers; empty = everyone. */
  readonly actors: readonly ConsentActor[];
  /** Codes of consentaction; empty = all of them. */
  readonly actions: readonly string[];
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

/** The provision of a site, that holds where no Consent of the patient permits. @param given with a type */
export function siteProvision(given: JsonObject, local: (reference: string) => string | undefined): Provision {
  return provisionOf(given, 'deny', local, 0);
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
    actions: conditionsIn(given.action).map(({ code }) => code),
    purposes: conditionsIn(given.purpose).map(({ code }) => code),
    labels: conditionsIn(given.securityLabel).map(({ code }) => code),
    classes: conditionsIn(given.class),
    codes: conditionsIn(given.code),
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

/** Whom a provision names; without a name that somebody here can be matched with it is nobody. */
function actorsIn(given: readonly Json[], local: (reference: string) => string | undefined): readonly ConsentActor[] {
  return given.map((each) => {
    const { reference, role } = isJsonObject(each) ? each : {};
    const actor = isJsonObject(reference) ? reference : {};
    const identifier = isJsonObject(actor.identifier) ? actor.identifier.value : undefined;
    const named = [referenceIn(actor, local), typeof identifier === 'string' ? identifier : undefined];
    return { names: named.filter((name) => name !== undefined), roles: codesIn([role]).map(({ code }) => code) };
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

/** The codes of each concept; UNKNOWN for one that is only described, so that it is not taken for no condition. */
function conditionsIn(given: Json | undefined): readonly ConsentCode[] {
  return list(given).flatMap((each) => {
    const codes = codesIn([each]);
    return codes.length === 0 ? [{ system: undefined, code: UNKNOWN }] : codes;
  });
}

const list = (given: Json | undefined): readonly Json[] => (Array.isArray(given) ? given : []);
