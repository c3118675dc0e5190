/** Prefetch templates: which are legal, and what one asks for in a call. Source: CDS Hooks 2.0.1 "Prefetch Template", "Prefetch tokens", "Prefetch query restrictions". */
import { FhirError } from '../fhir/outcome.ts';
import { ID_PATTERN } from '../fhir/resource.ts';
import type { RestContext } from '../rest/context.ts';
import { type Hook, isLegalToken, USER_TOKENS } from './hooks.ts';

const TOKEN = /\{\{([^{}]*)\}\}/g;
/** Stands in for a token when a template is checked at start-up. */
const SAMPLE = 'example';

/** A template as question: a read, or a search of one type. */
export interface Template {
  readonly type: string;
  /** undefined = search. */
  readonly id: string | undefined;
  readonly query: string;
  /** `_count` of a search sorted newest first: a page this full is all that was asked for. */
  readonly newest: number | undefined;
}

/** Everything wrong with a template, in words; empty = legal for the hook and within the restricted query subset that our own search also answers. */
export function templateProblems(template: string, hook: Hook, context: RestContext): readonly string[] {
  const tokens = [...template.matchAll(TOKEN)].map((match) => match[1] ?? '');
  const illegal = tokens.filter((token) => !isLegalToken(hook, token));
  if (illegal.length > 0) return illegal.map((token) => `uses the token \`${token}\`, which the hook does not have`);
  const filled = template.replaceAll(TOKEN, SAMPLE);
  if (/[{}\s]/.test(filled)) return ['has braces or spaces outside a token'];
  const parsed = parseTemplate(filled);
  if (parsed === undefined) return ['is neither `Type/id` nor `Type?parameters`'];
  if (!context.definitions.resourceTypes.has(parsed.type)) return ['names a resource type that does not exist'];
  if (parsed.id !== undefined) return [];
  return [...subsetProblems(parsed, context), ...searchProblems(parsed, context)];
}

/** undefined when the text is neither a read nor a type search. */
export function parseTemplate(text: string): Template | undefined {
  const read = /^([A-Z][A-Za-z]+)\/([^/?]+)$/.exec(text);
  if (read?.[1] !== undefined && read[2] !== undefined) {
    return ID_PATTERN.test(read[2]) ? { type: read[1], id: read[2], query: '', newest: undefined } : undefined;
  }
  const search = /^([A-Z][A-Za-z]+)\?(.+)$/.exec(text);
  if (search?.[1] === undefined || search[2] === undefined) return undefined;
  return { type: search[1], id: undefined, query: search[2], newest: newestOf(search[2]) };
}

/** Size of the page of a search that is sorted newest first. */
function newestOf(query: string): number | undefined {
  if (!query.includes('_sort=-')) return undefined;
  const parameters = new URLSearchParams(query);
  const count = Number(parameters.get('_count') ?? Number.NaN);
  return parameters.get('_sort')?.startsWith('-') === true && Number.isInteger(count) ? count : undefined;
}

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
 * @returns undefined when a token has no value here (an optional field, a user of another type): the key cannot be asked for
 */
export function askedBy(template: string, values: Readonly<Record<string, string | undefined>>): Template | undefined {
  const [userType, userId] = values.userId?.split('/').slice(-2) ?? [];
  let complete = true;
  const filled = template.replaceAll(TOKEN, (_all, token: string) => {
    const asUser = USER_TOKENS.get(token);
    const value =
      asUser === undefined ? values[token.slice('context.'.length)] : asUser === userType ? userId : undefined;
    if (value === undefined) complete = false;
    return value ?? '';
  });
  return complete ? parseTemplate(filled) : undefined;
}
