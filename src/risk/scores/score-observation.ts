/**
 * Results of an assessment as Observations: those with a LOINC code, and the total of an additive score with the points of each item as components.
 * Source: FHIR R4 observation.html. A lower bound ("at least N") is no result and gives none.
 */
import { UCUM } from '../../fhir/quantity.ts';
import type { JsonObject, Resource } from '../../fhir/resource.ts';
import { instantText } from '../../fhir/time.ts';
import type { Assessment, Manifest } from '../assessment.ts';
import { LOINC } from '../features/observation.ts';
import { MODEL_SYSTEM } from '../own-output.ts';
import { BAND_SYSTEM, basisOf, type Frame } from '../risk-assessment.ts';

/** Output of an additive score that is the sum of its items. */
const TOTAL = 'total';
const SCORE_UNIT = '{score}';

interface Result {
  readonly name: string;
  readonly display: string;
  readonly unit: string;
  readonly loinc?: string;
}

/** Points by item, named as on the page of the score; empty for what is not additive. */
function itemsOf({ parts, used }: Assessment, { items = [] }: Manifest): readonly (readonly [Result, number])[] {
  if (parts !== undefined) {
    const displays = new Map(items.map(({ name, display }) => [name, display]));
    return Object.entries(parts).map(([name, points]) => [
      { name, display: displays.get(name) ?? name, unit: SCORE_UNIT },
      points,
    ]);
  }
  return used.flatMap(({ name, display, points }) =>
    points === undefined ? [] : [[{ name, display, unit: SCORE_UNIT }, points] as const],
  );
}

const quantityOf = (value: number, unit: string): JsonObject => ({ value, unit, system: UCUM, code: unit });

function codeOf({ id, title }: Manifest, { name, display, loinc }: Result): JsonObject {
  const own = { system: MODEL_SYSTEM, code: `${id}.${name}`, display };
  const coding = loinc === undefined ? [own] : [{ system: LOINC, code: loinc }, own];
  return { coding, text: name === TOTAL ? title : display };
}

/** Results that are told as Observations: with a LOINC code, or the total of items. */
function resultsOf(assessment: Assessment, manifest: Manifest): readonly Result[] {
  const isAdditive = itemsOf(assessment, manifest).length > 0 && assessment.outputs[TOTAL] !== undefined;
  const own = (manifest.results ?? []).filter(
    ({ name, loinc }) => loinc !== undefined || (isAdditive && name === TOTAL),
  );
  if (!isAdditive || own.some(({ name }) => name === TOTAL)) return own;
  return [...own, { name: TOTAL, display: manifest.title, unit: SCORE_UNIT }];
}

function interpretationOf({ band }: Assessment, { bands }: Manifest, { name }: Result): JsonObject | undefined {
  const found = bands.find((one) => one.name === band && one.output === name);
  return found && { coding: [{ system: BAND_SYSTEM, code: found.name, display: found.display }], text: found.display };
}

/** One Observation a result, in the order of the results; `issuedAt` in ms. */
export function scoreObservations(
  assessment: Assessment,
  manifest: Manifest,
  { subject, at }: Frame,
  newId: () => string,
  issuedAt: number,
): readonly Resource[] {
  if (assessment.atLeast) return [];
  const derivedFrom = basisOf(assessment).filter(({ reference }) => String(reference).startsWith('Observation/'));
  return resultsOf(assessment, manifest).flatMap((result): readonly Resource[] => {
    const value = assessment.outputs[result.name];
    if (value === undefined) return [];
    const items = result.name === TOTAL ? itemsOf(assessment, manifest) : [];
    const interpretation = interpretationOf(assessment, manifest, result);
    return [
      {
        resourceType: 'Observation',
        id: newId(),
        status: 'final',
        code: codeOf(manifest, result),
        subject: { reference: subject },
        effectiveDateTime: instantText(at),
        issued: instantText(issuedAt),
        valueQuantity: quantityOf(value, result.unit),
        ...(interpretation === undefined ? {} : { interpretation: [interpretation] }),
        ...(derivedFrom.length === 0 ? {} : { derivedFrom }),
        ...(items.length === 0
          ? {}
          : {
              component: items.map(([item, points]) => ({
                code: codeOf(manifest, item),
                valueQuantity: quantityOf(points, SCORE_UNIT),
              })),
            }),
      },
    ];
  });
}
