/**
 * Operations on code systems and value sets: those of this server's store first, then the published ones of R4.
 * Source: FHIR R4 terminology-service.html, valueset-operation-*.html, codesystem-operation-*.html. Unknown is 404, never a guess.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type Json, type JsonObject, type Resource, serialize } from '../../fhir/resource.ts';
import { folded } from '../../fhir/search/value.ts';
import {
  type CodeSystem,
  type Coding,
  type Concept,
  codeSystemOf,
  contains,
  expand,
  heldCodeSystem,
  heldValueSet,
  subsumption,
  textAt,
} from '../../fhir/terminology/terminology.ts';
import { instantText } from '../../fhir/time.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';
import { heldByKey } from './held.ts';
import { objectOf, textOf, truthOf, wholeOf } from './input.ts';
import type { Operation, OperationCall, OperationInput } from './operation.ts';
import { answered, type Out, parametersText } from './output.ts';
import { given, resolving } from './terminology-source.ts';

const BOTH = ['type', 'instance'] as const;

export const EXPAND: Operation = {
  levels: BOTH,
  heavy: true,
  takes: [
    'url',
    'valueSet',
    'valueSetVersion',
    'filter',
    'offset',
    'count',
    'activeOnly',
    'includeDefinition',
    'excludeNested',
  ],
  perform: async (call, caller, context) => {
    const valueSet = await valueSetOf(call, caller, context);
    const codings = await expand(valueSet, resolving(caller, context));
    return answered(call, serialize(expansionOf(valueSet, codings, call.input, context)), [], context);
  },
};

export const VALIDATE_IN_VALUE_SET: Operation = {
  levels: BOTH,
  heavy: true,
  takes: ['url', 'valueSet', 'valueSetVersion', 'code', 'system', 'display', 'coding', 'codeableConcept', 'abstract'],
  perform: async (call, caller, context) => {
    const codings = codingsOf(call.input, true);
    const valueSet = await valueSetOf(call, caller, context);
    const resolve = resolving(caller, context);
    return judged(call, codings, context, (coding) => contains(valueSet, coding, resolve));
  },
};

export const VALIDATE_IN_CODE_SYSTEM: Operation = {
  levels: BOTH,
  heavy: true,
  takes: ['url', 'codeSystem', 'code', 'version', 'display', 'coding', 'codeableConcept', 'abstract'],
  perform: async (call, caller, context) => {
    const codings = codingsOf(call.input, false);
    const system = await codeSystemAsked(call, codings[0]?.system, caller, context);
    return judged(call, codings, context, async ({ system: url, code }) => {
      const concept = url === undefined || url === system.url ? system.concepts.get(code) : undefined;
      return concept === undefined ? undefined : { ...concept, system: system.url };
    });
  },
};

export const LOOKUP: Operation = {
  levels: ['type'],
  heavy: true,
  takes: ['code', 'system', 'version', 'coding', 'property'],
  perform: async (call, caller, context) => {
    const [coding] = codingsOf(call.input, true);
    if (coding?.system === undefined)
      throw fhirError('required', '`$lookup` needs `system` and `code`, or a `coding`.');
    const version = textOf(call.input, 'version') ?? coding.version ?? '';
    const system = await heldCodeSystem(coding.system, version, resolving(caller, context));
    const concept = heldConcept(system, coding.code);
    const asked = new Set((call.input.get('property') ?? []).map(({ value }) => value));
    return answered(call, parametersText(call.definition, lookedUp(system, concept, asked)), [], context);
  },
};

export const SUBSUMES: Operation = {
  levels: BOTH,
  heavy: true,
  takes: ['codeA', 'codeB', 'system', 'version', 'codingA', 'codingB'],
  perform: async (call, caller, context) => {
    const [a, b] = [sideOf(call.input, 'A'), sideOf(call.input, 'B')];
    const url = textOf(call.input, 'system') ?? a.system;
    const system = await codeSystemAsked(call, url, caller, context);
    for (const { system: own, code } of [a, b]) {
      if (own !== undefined && own !== system.url) {
        throw fhirError('not-unprocessable', 'Relations between codes of two code systems are not known here.');
      }
      heldConcept(system, code);
    }
    if (!system.isA)
      throw fhirError('not-unprocessable', 'The hierarchy of this code system is not one of subsumption.');
    const outcome = subsumption(system, a.code, b.code);
    return answered(call, parametersText(call.definition, [{ name: 'outcome', value: outcome }]), [], context);
  },
};

/** The value set of the path, of the body or of the url. */
async function valueSetOf({ key, input }: OperationCall, caller: Caller, context: RestContext): Promise<Resource> {
  const [url, sent] = [textOf(input, 'url'), given(input, 'valueSet', context)];
  oneOf([key, url, sent], '`url`, `valueSet` or the id of a ValueSet');
  if (key !== undefined) return storedResource((await heldByKey(key, caller, context)).text ?? 'null');
  if (sent !== undefined) return sent;
  const version = textOf(input, 'valueSetVersion');
  return heldValueSet(version === undefined ? (url ?? '') : `${url}|${version}`, resolving(caller, context));
}

/** @param system used when the call names none itself */
async function codeSystemAsked(
  { key, input }: OperationCall,
  system: string | undefined,
  caller: Caller,
  context: RestContext,
): Promise<CodeSystem> {
  const sent = given(input, 'codeSystem', context);
  const url = textOf(input, 'url') ?? system;
  oneOf([key, sent ?? url], 'the code system');
  if (key !== undefined) return codeSystemOf(storedResource((await heldByKey(key, caller, context)).text ?? 'null'));
  if (sent !== undefined) return codeSystemOf(sent);
  return heldCodeSystem(url ?? '', textOf(input, 'version') ?? '', resolving(caller, context));
}

function oneOf(sources: readonly unknown[], what: string): void {
  const count = sources.filter((each) => each !== undefined).length;
  if (count === 0) throw fhirError('required', `The operation needs ${what}.`);
}

interface Asked {
  readonly system: string | undefined;
  readonly version: string | undefined;
  readonly code: string;
  readonly display: string | undefined;
}

/** The codes to judge: `code`, `coding` or every coding of `codeableConcept`. */
function codingsOf(input: OperationInput, needsSystem: boolean): readonly Asked[] {
  const [code, coding, concept] = [
    textOf(input, 'code'),
    objectOf(input, 'coding'),
    objectOf(input, 'codeableConcept'),
  ];
  const ways = [code, coding, concept].filter((each) => each !== undefined);
  if (ways.length !== 1) throw fhirError('required', 'Give one of `code`, `coding` and `codeableConcept`.');
  if (code !== undefined) {
    const system = textOf(input, 'system');
    if (needsSystem && system === undefined) throw fhirError('required', 'A `code` needs its `system`.');
    return [{ system, version: undefined, code, display: textOf(input, 'display') }];
  }
  const list = concept === undefined ? [coding ?? {}] : Array.isArray(concept.coding) ? concept.coding : [];
  const codings = list.filter(isJsonObject).flatMap(askedOf);
  if (codings.length === 0) throw fhirError('required', 'There is no coding with a code.');
  return codings;
}

function askedOf({ system, version, code, display }: JsonObject): readonly Asked[] {
  const text = textAt(code);
  if (text === undefined) return [];
  return [{ system: textAt(system), version: textAt(version), code: text, display: textAt(display) }];
}

function sideOf(input: OperationInput, side: 'A' | 'B'): Asked {
  const [code, coding] = [textOf(input, `code${side}`), objectOf(input, `coding${side}`)];
  const [asked] = coding === undefined ? [] : askedOf(coding);
  if (code !== undefined && coding === undefined)
    return { system: undefined, version: undefined, code, display: undefined };
  if (asked !== undefined && code === undefined) return asked;
  throw fhirError('required', `\`$subsumes\` needs one of \`code${side}\` and \`coding${side}\`, with a code.`);
}

type Found = Pick<Coding, 'display' | 'abstract'> | undefined;

/** True when one of the codings is in, is no abstract one that must not be, and its display, if given, is the display. */
async function judged(
  call: OperationCall,
  codings: readonly Asked[],
  context: RestContext,
  find: (asked: Asked) => Promise<Found>,
): Promise<Performed> {
  const mayBeAbstract = truthOf(call.input, 'abstract') ?? false;
  let answer: { readonly message?: string; readonly display?: string | undefined } = {
    message: 'The code is not in it.',
  };
  for (const coding of codings) {
    const found = await find(coding);
    if (found === undefined) continue;
    const { display } = found;
    if (found.abstract && !mayBeAbstract)
      answer = { message: 'The code is abstract: not for use as a value.', display };
    else if (isOther(coding.display, display)) answer = { message: 'The display is not that of the code.', display };
    else {
      answer = { display };
      break;
    }
  }
  const outs: Out[] = [{ name: 'result', value: answer.message === undefined }];
  if (answer.message !== undefined) outs.push({ name: 'message', value: answer.message });
  if (answer.display !== undefined) outs.push({ name: 'display', value: answer.display });
  return answered(call, parametersText(call.definition, outs), [], context);
}

/** Case, accents and punctuation aside. What has no display cannot contradict one. */
function isOther(given: string | undefined, display: string | undefined): boolean {
  return given !== undefined && display !== undefined && folded(given) !== folded(display);
}

function heldConcept(system: CodeSystem, code: string): Concept {
  const concept = system.concepts.get(code);
  if (concept !== undefined) return concept;
  const why = system.complete ? 'has no such code' : 'is not held complete, and such a code is not in what is held';
  throw fhirError('not-found', `The code system \`${system.url.slice(0, 200)}\` ${why}.`);
}

/** @param asked names of properties; empty = all */
function lookedUp(system: CodeSystem, concept: Concept, asked: ReadonlySet<Json>): readonly Out[] {
  const property = (code: string, value: Json, type: string): Out => ({
    name: 'property',
    part: [
      { name: 'code', value: code },
      { name: 'value', value, type },
    ],
  });
  const own = concept.properties.flatMap((each): Out[] => {
    const [name, value] = Object.entries(each).find(([key]) => key.startsWith('value')) ?? [];
    const code = textAt(each.code);
    if (name === undefined || value === undefined || code === undefined || code === 'parent' || code === 'child')
      return [];
    return asked.size === 0 || asked.has(code) ? [property(code, value, name.slice('value'.length))] : [];
  });
  const links: [string, readonly string[]][] = [
    ['parent', system.parentsOf(concept.code)],
    ['child', system.childrenOf(concept.code)],
  ];
  const linked = links.flatMap(([name, codes]) =>
    asked.size === 0 || asked.has(name) ? codes.map((code) => property(name, code, 'code')) : [],
  );
  const defined =
    concept.definition !== undefined && (asked.size === 0 || asked.has('definition'))
      ? [property('definition', concept.definition, 'string')]
      : [];
  return [
    { name: 'name', value: system.name },
    ...(system.version === undefined ? [] : [{ name: 'version', value: system.version }]),
    { name: 'display', value: concept.display ?? concept.code },
    ...(asked.size === 0 || asked.has('designation') ? concept.designations.map(designation) : []),
    ...defined,
    ...linked,
    ...own,
  ];
}

function designation({ language, use, value }: JsonObject): Out {
  const part: Out[] = [];
  if (language !== undefined) part.push({ name: 'language', value: language });
  if (use !== undefined) part.push({ name: 'use', value: use });
  part.push({ name: 'value', value: value ?? '' });
  return { name: 'designation', part };
}

/** Elements of a ValueSet that its expansion repeats. */
const REPEATED = ['id', 'url', 'version', 'name', 'title', 'status'] as const;
/** Codes of one page, when `count` is not given. */
const PAGE = 1000;

function expansionOf(
  valueSet: Resource,
  all: readonly Coding[],
  input: OperationInput,
  { ambient }: RestContext,
): JsonObject {
  const active = truthOf(input, 'activeOnly') === true ? all.filter(({ inactive }) => !inactive) : all;
  const words = folded(textOf(input, 'filter') ?? '')
    .split(' ')
    .filter((word) => word !== '');
  const found = active.filter(({ code, display = '' }) => {
    const text = `${folded(display)} ${code.toLowerCase()}`;
    return words.every((word) => text.includes(word));
  });
  const [offset, count] = [wholeOf(input, 'offset') ?? 0, wholeOf(input, 'count') ?? PAGE];
  if (offset < 0 || count < 0) throw fhirError('value', '`offset` and `count` must not be negative.');
  const page = found.slice(offset, offset + Math.min(count, PAGE));
  const used = ['filter', 'offset', 'count', 'activeOnly'].flatMap((name) => {
    const value = input.get(name)?.[0]?.value;
    const type =
      typeof value === 'number' ? 'valueInteger' : typeof value === 'boolean' ? 'valueBoolean' : 'valueString';
    return value === undefined ? [] : [{ name, [type]: value }];
  });
  const repeated = REPEATED.flatMap((name) => (valueSet[name] === undefined ? [] : [[name, valueSet[name]] as const]));
  const definition = truthOf(input, 'includeDefinition') === true ? { compose: valueSet.compose } : {};
  return {
    resourceType: valueSet.resourceType,
    ...Object.fromEntries(repeated),
    status: valueSet.status ?? 'unknown',
    ...definition,
    expansion: {
      timestamp: instantText(ambient.now()),
      total: found.length,
      offset,
      ...(used.length === 0 ? {} : { parameter: used }),
      ...(page.length === 0 ? {} : { contains: page.map(shownCoding) }),
    },
  };
}

function shownCoding({ system, code, display, abstract, inactive }: Coding): JsonObject {
  return {
    ...(system === '' ? {} : { system }),
    ...(abstract ? { abstract } : {}),
    ...(inactive ? { inactive } : {}),
    code,
    ...(display === undefined ? {} : { display }),
  };
}
