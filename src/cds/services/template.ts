/** Prefetch templates: which are legal, and what one asks for in a call. Source: CDS Hooks 2.0.1 "Prefetch Template", "Prefetch tokens", "Prefetch query restrictions". */
import { FhirError } from '../../fhir/outcome.ts';
import { ID_PATTERN } from '../../fhir/resource.ts';
import type { RestContext } from '../../rest/context.ts';
import { type Hook, isLegalToken, USER_TOKENS } from '../hook/hooks.ts';
import { type BallotToken, ballotToken, rootsOf, type TokenSources, valuesOf } from './ballot-token.ts';

const TOKEN = /\{\{([^{}]*)\}\}/g;
/** Stands in for a token when a template is checked at start-up. */
const SAMPLE = 'example';
const SAMPLE_DAY = '2026-01-15';

/** A template as question: a read, or a search of one type. */
export interface Template {
  readonly type: string;
  /** undefined = search. */
  readonly id: string | undefined;
  readonly query: string;
  /** `_count` of a search sorted newest first, or `_maxresults`: a page this full is all that was asked for. */
  readonly newest: number | undefined;
}

/** What the 3.0 ballot allows in a template besides. */
export interface BallotRules {
  /** Keys that stand before this one and are reads: `%key` may name them. */
  readonly earlier: ReadonlySet<string>;
}

/**
 * Everything wrong with a template, in words; empty = legal for the hook and within the restricted query subset that our own search also answers.
 * @param ballot undefined: as in 2.0
 */
export function templateProblems(
  template: string,
  hook: Hook,
  context: RestContext,
  ballot?: BallotRules,
): readonly string[] {
  const tokens = [...template.matchAll(TOKEN)].map((match) => match[1] ?? '');
  const illegal = tokens.filter(
    (token) => !isLegalToken(hook, token) && (ballot === undefined || !isBallotToken(token, hook, ballot)),
  );
  if (illegal.length > 0) {
    return illegal.map((token) =>
      ballot === undefined && ballotToken(token) !== undefined
        ? `uses the token \`${token}\`, which 2.0 does not have (the 3.0 ballot: CDS_HOOKS_3)`
        : `uses the token \`${token}\`, which the hook does not have`,
    );
  }
  const filled = template.replaceAll(TOKEN, (_all, token: string) =>
    ballotToken(token)?.kind === 'today' ? SAMPLE_DAY : SAMPLE,
  );
  if (/[{}\s]/.test(filled)) return ['has braces or spaces outside a token'];
  const parsed = parseTemplate(filled);
  if (parsed === undefined) return ['is neither `Type/id` nor `Type?parameters`'];
  if (!context.definitions.resourceTypes.has(parsed.type)) return ['names a resource type that does not exist'];
  if (parsed.id !== undefined) return [];
  if (ballot === undefined && template.includes('_maxresults='))
    return ['uses `_maxresults`, which is of the 3.0 ballot'];
  return [...subsetProblems(parsed, context), ...searchProblems(parsed, context)];
}

/** Paths begin at a field that the hook has, or at an earlier read. */
function isBallotToken(text: string, hook: Hook, { earlier }: BallotRules): boolean {
  const token = ballotToken(text);
  return (
    token !== undefined &&
    rootsOf(token).every(({ kind, name }) => (kind === 'key' ? earlier.has(name) : hook.fields[name] !== undefined))
  );
}

/** What is known of a template before a call. */
interface Known {
  /** Keys of earlier reads that it names. */
  readonly keys: readonly string[];
  /** Text, token, text, and so on, to the text at its end. */
  readonly parts: readonly string[];
  /** What it asks for with ids in place of its tokens; undefined where these decide more than an id or a value. */
  readonly asked: Template | undefined;
}
/** By template: those of the services, again in every call. */
const templates = new Map<string, Known>();
function knownOf(template: string): Known {
  const known = templates.get(template) ?? {
    keys: keysIn(template),
    parts: template.split(TOKEN),
    asked: PAGE_BY_TOKEN.test(template) ? undefined : parseTemplate(template.replaceAll(TOKEN, SAMPLE)),
  };
  templates.set(template, known);
  return known;
}
const PAGE_BY_TOKEN = /[?&]_(?:count|maxresults|sort)=[^&]*\{\{/;

/** Keys of earlier reads that a template of a service names. */
export const keysNamed = (template: string): readonly string[] => knownOf(template).keys;

function keysIn(template: string): readonly string[] {
  return ballotTokensOf(template).flatMap((token) =>
    rootsOf(token).flatMap(({ kind, name }) => (kind === 'key' ? [name] : [])),
  );
}

const ballotTokensOf = (template: string): readonly BallotToken[] =>
  [...template.matchAll(TOKEN)].map((match) => ballotToken(match[1] ?? '')).filter((token) => token !== undefined);

/** undefined when the text is neither a read nor a type search. */
export function parseTemplate(text: string): Template | undefined {
  const read = /^([A-Z][A-Za-z]+)\/([^/?]+)$/.exec(text);
  if (read?.[1] !== undefined && read[2] !== undefined) {
    return ID_PATTERN.test(read[2]) ? { type: read[1], id: read[2], query: '', newest: undefined } : undefined;
  }
  const search = /^([A-Z][A-Za-z]+)\?(.+)$/.exec(text);
  if (search?.[1] === undefined || search[2] === undefined) return undefined;
  return { type: search[1], id: undefined, query: asAskedInR4(search[2]), newest: newestOf(search[2]) };
}

/** R4 servers know no `_maxresults`: one page of that size is the same. */
const asAskedInR4 = (query: string): string => query.replace('_maxresults=', '_count=');

/** Size of the page of a search that is sorted newest first, or bounded by `_maxresults`. */
function newestOf(query: string): number | undefined {
  if (!query.includes('_sort=-') && !query.includes('_maxresults=')) return undefined;
  const most = MOST.exec(query)?.[1];
  const count = most ?? COUNT.exec(query)?.[1];
  const isBounded = most !== undefined || DESCENDING.test(query);
  return isBounded && count !== undefined ? Number(count) : undefined;
}

const MOST = /(?:^|&)_maxresults=(\d+)(?=&|$)/;
const COUNT = /(?:^|&)_count=(\d+)(?=&|$)/;
const DESCENDING = /(?:^|&)_sort=-/;

const ALLOWED_TYPES = new Set(['reference', 'token', 'date']);

function subsetProblems({ type, query }: Template, context: RestContext): readonly string[] {
  const parameters = context.definitions.searchParameters(type);
  return query.split('&').flatMap((pair) => {
    const [written = '', value = ''] = pair.split('=', 2);
    const [name = '', modifier] = written.split(':', 2);
    if (name === '_count') return /^\d{1,4}$/.test(value) ? [] : ['has a `_count` that is not a number'];
    if (name === '_sort') return /^-?[a-z][a-z-]*$/.test(value) ? [] : ['has a `_sort` that is not one parameter'];
    if (name.startsWith('_') && name !== '_id') return [`uses \`${name}\`, which is outside the restricted subset`];
    if (name.includes('.')) return ['chains, which is outside the restricted subset'];
    const found = parameters.get(name)?.type;
    if (found === undefined) return [`uses \`${name}\`, which is no search parameter of ${type}`];
    if (!ALLOWED_TYPES.has(found)) return [`uses \`${name}\` (${found}); only reference, token and date are allowed`];
    if (modifier !== undefined && !(modifier === 'in' && found === 'token')) {
      return [`uses the modifier \`:${modifier}\`, which is outside the restricted subset`];
    }
    return found === 'date' && !/^(?:eq|lt|gt|ge|le)?\d/.test(value)
      ? [`uses a prefix on \`${name}\` other than eq, lt, gt, ge, le`]
      : [];
  });
}

function searchProblems({ type, query }: Template, context: RestContext): readonly string[] {
  try {
    context.parseSearch(type, query, 'strict');
    return [];
  } catch (error) {
    if (error instanceof FhirError) return [`is refused by our own search: ${error.message.replace(/\.$/, '')}`];
    throw error;
  }
}

/**
 * What a template asks for in this call.
 * @param values context fields that may be tokens, by name
 * @param sources what tokens of the ballot see
 * @returns undefined when a token has no value here (an optional field, a user of another type): the key cannot be asked for
 */
export function askedBy(
  template: string,
  values: Readonly<Record<string, string | undefined>>,
  sources: TokenSources,
): Template | undefined {
  const { parts, asked } = knownOf(template);
  let filled = parts[0] ?? '';
  let isOfIds = true;
  for (let at = 1; at < parts.length; at += 2) {
    const value = tokenValue(parts[at] ?? '', values, sources);
    if (value === undefined) return undefined;
    isOfIds &&= ID_PATTERN.test(value);
    filled += value + (parts[at + 1] ?? '');
  }
  if (asked === undefined || !isOfIds) return parseTemplate(filled);
  const rest = filled.slice(asked.type.length + 1);
  if (asked.id === undefined) return { ...asked, query: asAskedInR4(rest) };
  return ID_PATTERN.test(rest) ? { ...asked, id: rest } : undefined;
}

function tokenValue(
  token: string,
  values: Readonly<Record<string, string | undefined>>,
  sources: TokenSources,
): string | undefined {
  const asUser = USER_TOKENS.get(token);
  if (asUser === undefined) return values[token.slice('context.'.length)] ?? ballotValue(token, sources);
  const [userType, userId] = values.userId?.split('/').slice(-2) ?? [];
  return asUser === userType ? userId : undefined;
}

/** The values as a list, so that none of them ends a parameter or stands for another. */
function ballotValue(text: string, sources: TokenSources): string | undefined {
  const token = ballotToken(text);
  const values = token === undefined ? [] : valuesOf(token, sources);
  if (values.length === 0) return undefined;
  return values.map((value) => encodeURIComponent(value.replace(/[\\,|$]/g, '\\$&'))).join(',');
}
