/**
 * What a provision denies and permits of one type to one caller, as predicates on its resources. Source: FHIR R4 consent.html (Consent.provision).
 * A nested provision is an exception to the one it is in; where several meet, deny wins. What cannot be judged by an index is denied rather than
 * permitted, so each match is made twice: no narrower than meant for what denies, no wider for what permits.
 */
import type { Predicate, Verb } from '../fhir/search/algebra.ts';
import { ALL, and, NONE, not, or } from '../fhir/search/simplify.ts';
import type { RestContext } from '../rest/context.ts';
import { isAboutAction, isRecipient } from './consent-meaning.ts';
import { type ConsentActor, type ConsentCode, type Provision, UNKNOWN } from './consent-rule.ts';

/** Of whom, when, and to do what. */
export interface Judged {
  readonly verb: Verb;
  readonly actors: readonly string[];
  readonly purposes: readonly string[];
  /** ms since 1970. */
  readonly now: number;
}
export interface Regions {
  readonly deny: Predicate;
  readonly permit: Predicate;
}
type Claims = Pick<RestContext, 'capability'>;

const NOTHING: Regions = { deny: NONE, permit: NONE };
/** Who says no purpose comes to treat. */
const TREATMENT = ['TREAT'];

export function regionsOf(provision: Provision, type: string, who: Judged, claims: Claims): Regions {
  if (!concerns(provision, who, true)) return NOTHING;
  const exceptions = provision.exceptions.map((each) => regionsOf(each, type, who, claims));
  const denied = or(exceptions.map(({ deny }) => deny));
  const permitted = or(exceptions.map(({ permit }) => permit));
  const wide = matches(provision, type, true, claims);
  const strict = concerns(provision, who, false) ? matches(provision, type, false, claims) : NONE;
  return provision.type === 'deny'
    ? { deny: and([wide, or([not(permitted), denied])]), permit: and([strict, permitted, not(denied)]) }
    : { deny: and([wide, denied]), permit: and([strict, not(denied)]) };
}

/** Whether a provision is about this caller, what they do, this purpose and this instant. @param wide what cannot be judged is */
function concerns({ actors, actions, purposes, period: [low, high] }: Provision, who: Judged, wide: boolean): boolean {
  const stated = who.purposes.length === 0 ? TREATMENT : who.purposes;
  const isNamed = ({ names, roles }: ConsentActor): boolean =>
    names.some((name) => who.actors.includes(name)) && (wide || isRecipient(roles));
  const isActor = actors.length === 0 || actors.some(isNamed);
  const isPurpose =
    purposes.length === 0 || purposes.some((each) => stated.includes(each) || (wide && each === UNKNOWN));
  return isActor && isPurpose && isAboutAction(actions, who.verb, wide) && low <= who.now && who.now < high;
}

/** @param wide what cannot be judged matches */
function matches(provision: Provision, type: string, wide: boolean, claims: Claims): Predicate {
  const { classes, labels, codes, dataPeriod, data } = provision;
  const unknown = wide ? ALL : NONE;
  const coding = (each: ConsentCode, judge: (known: ConsentCode) => Predicate) =>
    each.code === UNKNOWN ? unknown : judge(each);
  const label = (code: string): Predicate => ({ kind: 'token', parameter: `${type}._security`, code });
  return and([
    classes.length === 0 ? ALL : or(classes.map((each) => coding(each, () => ofClass(each, type, claims)))),
    and(labels.map((code) => (code === UNKNOWN ? unknown : label(code)))),
    codes.length === 0 ? ALL : or(codes.map((each) => coding(each, () => coded(CODE_PARAMETERS, each, type, claims)))),
    dataPeriod === undefined ? ALL : during(dataPeriod, type, wide, claims),
    data.length === 0 ? ALL : or(data.map((each) => named(each, type, wide))),
  ]);
}

const RESOURCE_TYPES = /\/(?:resource-types|fhir-types)$/;
/** Where the class of a document, or what a resource is about, is found. */
const CLASS_PARAMETERS = ['type', 'category'];
const CODE_PARAMETERS = ['code', 'vaccine-code', 'combo-code'];

function ofClass(given: ConsentCode, type: string, claims: Claims): Predicate {
  if (given.system !== undefined && !RESOURCE_TYPES.test(given.system)) {
    return coded(CLASS_PARAMETERS, given, type, claims);
  }
  return given.code === type ? ALL : NONE;
}

function coded(parameters: readonly string[], given: ConsentCode, type: string, { capability }: Claims): Predicate {
  const claimed = parameters.filter((name) => capability.types.get(type)?.searchParameters.get(name)?.type === 'token');
  const { code, system } = given;
  return or(
    claimed.map(
      (name): Predicate => ({
        ...({ kind: 'token', parameter: `${type}.${name}`, code } as const),
        ...(system === undefined ? {} : { system }),
      }),
    ),
  );
}

/** A type without a date of its own cannot be judged, nor a resource without one. */
function during(
  [low, high]: readonly [number, number],
  type: string,
  wide: boolean,
  { capability }: Claims,
): Predicate {
  const parameter = `${type}.date`;
  if (capability.types.get(type)?.searchParameters.get('date')?.type !== 'date') return wide ? ALL : NONE;
  const within: Predicate = { kind: 'interval', parameter, relation: 'ap', low, high };
  return wide ? or([within, { kind: 'missing', parameter, missing: true }]) : within;
}

/** What is related to the data that is named, depends on it or is written by it cannot be judged. */
function named({ meaning, reference }: Provision['data'][number], type: string, wide: boolean): Predicate {
  if (wide && (meaning !== 'instance' || reference === UNKNOWN)) return ALL;
  const [of, id] = reference.split('/');
  return of === type && id !== undefined ? { kind: 'ids', ids: [id] } : NONE;
}
