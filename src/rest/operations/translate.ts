/** $translate of a ConceptMap. Source: FHIR R4 conceptmap-operation-translate.html. Maps are those of the store, or the one sent. */

import { fhirError } from '../../fhir/outcome.ts';
import { isJsonObject, type JsonObject, type Resource } from '../../fhir/resource.ts';
import type { Predicate } from '../../fhir/search/algebra.ts';
import { planOf } from '../../fhir/search/plan.ts';
import { type Asked, type Translation, translations } from '../../fhir/terminology/concept-map.ts';
import { textAt } from '../../fhir/terminology/terminology.ts';
import type { Caller, RestContext } from '../context.ts';
import { storedResource } from '../wire/represent.ts';
import { heldByKey } from './held.ts';
import { objectOf, textOf, truthOf } from './input.ts';
import type { Operation, OperationCall, OperationInput } from './operation.ts';
import { answered, type Out, parametersText } from './output.ts';
import { given } from './terminology-source.ts';

/** Maps that one translation looks at. */
const MAPS = 100;
/** Equivalences that say there is no translation. */
const NONE: ReadonlySet<string> = new Set(['unmatched', 'disjoint']);

export const TRANSLATE: Operation = {
  levels: ['type', 'instance'],
  takes: [
    'url',
    'conceptMap',
    'conceptMapVersion',
    'code',
    'system',
    'coding',
    'codeableConcept',
    'source',
    'target',
    'targetsystem',
    'reverse',
  ],
  perform: async (call, caller, context) => {
    const asked = askedOf(call.input);
    const maps = (await mapsOf(call, asked, caller, context)).filter((map) => isBetween(map, call.input));
    const found = maps.flatMap((map) => asked.flatMap((each) => translations(map, each)));
    const result = found.some(({ equivalence, concept }) => concept !== undefined && !NONE.has(equivalence));
    const message = maps.length === 0 ? 'No concept map for this is held here.' : 'No concept map has a translation.';
    const outs: Out[] = [
      { name: 'result', value: result },
      ...(result ? [] : [{ name: 'message', value: message }]),
      ...found.map(match),
    ];
    return answered(call, parametersText(call.definition, outs), [], context);
  },
};

function match({ equivalence, concept, source }: Translation): Out {
  const part: Out[] = [{ name: 'equivalence', value: equivalence }];
  if (concept !== undefined) part.push({ name: 'concept', value: { ...concept } });
  if (source !== undefined) part.push({ name: 'source', value: source });
  return { name: 'match', part };
}

function askedOf(input: OperationInput): readonly Asked[] {
  const [code, coding, concept] = [
    textOf(input, 'code'),
    objectOf(input, 'coding'),
    objectOf(input, 'codeableConcept'),
  ];
  if ([code, coding, concept].filter((each) => each !== undefined).length !== 1) {
    throw fhirError('required', 'Give one of `code`, `coding` and `codeableConcept`.');
  }
  const codings: readonly JsonObject[] =
    code !== undefined
      ? [{ code, system: textOf(input, 'system') }]
      : [...(coding === undefined ? [] : [coding]), ...codingsIn(concept)];
  const [targetSystem, reverse] = [textOf(input, 'targetsystem'), truthOf(input, 'reverse') ?? false];
  const asked = codings.flatMap((each): Asked[] => {
    const [system, text] = [textAt(each.system), textAt(each.code)];
    return system === undefined || text === undefined ? [] : [{ system, code: text, targetSystem, reverse }];
  });
  if (asked.length === 0) throw fhirError('required', '`$translate` needs a code with its system.');
  return asked;
}

function codingsIn(concept: JsonObject | undefined): readonly JsonObject[] {
  return Array.isArray(concept?.coding) ? concept.coding.filter(isJsonObject) : [];
}

/** @throws FhirError `not-found` (404) when the map that is named is not held */
async function mapsOf(
  { type, key, input }: OperationCall,
  asked: readonly Asked[],
  caller: Caller,
  context: RestContext,
): Promise<readonly Resource[]> {
  if (key !== undefined) return [storedResource((await heldByKey(key, caller, context)).text ?? 'null')];
  const sent = given(input, 'conceptMap', context);
  if (sent !== undefined) return [sent];
  const url = textOf(input, 'url');
  const where: Predicate =
    url === undefined
      ? { kind: 'or', of: asked.map((each) => ofSystem(type, each)) }
      : { kind: 'uri', parameter: `${type}.url`, match: 'exact', value: url };
  const newest = [{ parameter: `${type}._lastUpdated`, indexed: 'updated', descending: true }] as const;
  const { matches } = await context.store.search(planOf(type, where, caller.access, newest), { count: MAPS });
  const maps = matches.map(({ text }) => storedResource(text ?? 'null'));
  if (url === undefined) return maps;
  const version = textOf(input, 'conceptMapVersion');
  const named = maps.find((map) => version === undefined || map.version === version);
  if (named === undefined) throw fhirError('not-found', `The concept map \`${url.slice(0, 200)}\` is not held here.`);
  return [named];
}

function ofSystem(type: string, { system, reverse }: Asked): Predicate {
  const parameter = `${type}.${reverse ? 'target' : 'source'}-system`;
  return { kind: 'uri', parameter, match: 'exact', value: system };
}

/** `source` and `target` name value sets: a map that names others is not meant. */
function isBetween(map: Resource, input: OperationInput): boolean {
  const [source, target] = [textOf(input, 'source'), textOf(input, 'target')];
  const [from, to] = truthOf(input, 'reverse') === true ? [target, source] : [source, target];
  const is = (wanted: string | undefined, uri: unknown, canonical: unknown): boolean =>
    wanted === undefined || wanted === uri || wanted === canonical;
  return is(from, map.sourceUri, map.sourceCanonical) && is(to, map.targetUri, map.targetCanonical);
}
