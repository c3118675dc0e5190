/** Figures of evaluation.json with their intervals, and its plots. The shape is the evaluation's own: what is not understood is left to the JSON. */
import { isJsonObject, type Json, type JsonObject } from '../fhir/resource.ts';
import { type Html, html, table, type Value } from './html.ts';
import { figureName, figureText, objectsOf, words } from './words.ts';

/** Everything shown of an evaluation; undefined when there is none. */
export function figureSection(evaluation: JsonObject | undefined): Html | undefined {
  if (evaluation === undefined) return undefined;
  const cohorts = objectsOf(evaluation.cohorts);
  return html`<p>In brackets: 95 % confidence interval${evaluation.bootstraps === undefined ? '' : ` of ${figureText(evaluation.bootstraps) ?? ''} bootstraps`}.</p>
${figureTable(
  'By cohort',
  'Cohort',
  cohorts.map(([name, cohort]) => [name, flat(cohort)]),
)}
${bandTable(cohorts)}
${objectsOf(evaluation.subgroups).map(([by, groups]) => figureTable(`By ${words(by).toLowerCase()}`, words(by), objectsOf(groups), String))}
${figureTable('Rules on the same patients, for comparison', 'Rule', objectsOf(evaluation.rules), String)}
${importanceTable(evaluation.importance)}
`;
}

/** Counts and the figures of `overall` in one row. */
function flat({ overall, ...rest }: JsonObject): JsonObject {
  return { ...rest, ...(isJsonObject(overall) ? overall : {}) };
}

/** One row a name, one column a figure that any row has. */
function figureTable(
  caption: string,
  head: string,
  rows: readonly (readonly [name: string, figures: JsonObject])[],
  nameOf: (name: string) => string = words,
): Html | undefined {
  const keys = [
    ...new Set(
      rows.flatMap(([, figures]) => Object.keys(figures).filter((key) => figureText(figures[key]) !== undefined)),
    ),
  ];
  if (keys.length === 0) return undefined;
  return table(
    caption,
    [head, ...keys.map(figureName)],
    rows.map(([name, figures]) => [nameOf(name), ...keys.map((key) => figureText(figures[key]) ?? 'not available')]),
  );
}

function bandTable(cohorts: readonly (readonly [name: string, cohort: JsonObject])[]): Html | undefined {
  const rows = cohorts.flatMap(([cohort, { bands }]) =>
    objectsOf(bands).map(([band, { at, threshold }]): readonly [string, JsonObject] => [
      `${words(cohort)}, ${band}`,
      { threshold: threshold ?? null, ...(isJsonObject(at) ? at : {}) },
    ]),
  );
  return figureTable('At the thresholds of the bands', 'Cohort, band', rows, String);
}

/** Largest first, as the evaluation gives them. */
function importanceTable(importance: Json | undefined): Html | undefined {
  const rows = Array.isArray(importance) ? importance.filter(isJsonObject) : [];
  const named = rows.map((row): readonly Value[] => [
    String(row.display ?? row.input ?? ''),
    figureText(row.meanAbsolute) ?? 'not available',
  ]);
  return named.length === 0
    ? undefined
    : table('Inputs by mean size of their contribution', ['Input', 'Log-odds'], named);
}

const PLOT_NAMES: Readonly<Record<string, string>> = {
  'roc.svg': 'Receiver operating characteristic',
  'precision-recall.svg': 'Precision and recall',
  'calibration.svg': 'Calibration: observed by predicted risk',
  'decision-curve.svg': 'Decision curve: net benefit per 100 patients by threshold',
  'contributions.svg': 'Contributions of the inputs (SHAP values)',
  'shap.svg': 'Contributions of the inputs (SHAP values)',
};

/** Each plot with a name; the figures beside it say the same in words. */
export function plotSection(names: readonly string[], path: string): Html | undefined {
  if (names.length === 0) return undefined;
  const plots = names.map((name) => {
    const title = PLOT_NAMES[name] ?? words(name.replace(/\.svg$/, ''));
    return html`<figure><a href="${path}/${name}"><img src="${path}/${name}" alt="Plot: ${title}. Its figures are in the tables on this page." loading="lazy"></a><figcaption>${title}</figcaption></figure>
`;
  });
  return html`<div class="plots">${plots}</div>
`;
}
