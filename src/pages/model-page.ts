/** The page of a folder of models: 31 source attributes, population, inputs, bands, figures. Source: 45 CFR 170.315(b)(11)(iv) and (v)(A). */
import type { SourceAttribute } from '../risk/manifest.ts';
import type { GraphEntry } from './catalogue.ts';
import { figureSection, plotSection } from './figure-section.ts';
import { facts, type Html, html, list, table, webLink } from './html.ts';
import { eligibilityList, inputTable } from './input-table.ts';
import type { Page } from './layout.ts';

/** A section with its heading; nothing without content. */
export const section = (id: string, title: string, content: Html | undefined): Html | undefined =>
  content === undefined
    ? undefined
    : html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>
${content}</section>
`;

export const pathOf = ({ id, version }: { readonly id: string; readonly version: string }): string =>
  `/models/${id}/${version}`;

/** Groups of the regulation: first attribute of each. */
const GROUPS: readonly (readonly [from: number, title: string])[] = [
  [1, 'Details and output'],
  [5, 'Purpose'],
  [9, 'Cautioned out-of-scope use'],
  [11, 'Development and inputs'],
  [15, 'Fairness in development'],
  [17, 'External validation'],
  [21, 'Performance'],
  [26, 'Maintenance'],
  [30, 'Updates'],
];

export const isUnavailable = ({ value }: SourceAttribute): boolean => /^not available\.?$/i.test(value.trim());

function attributeGroups(attributes: readonly SourceAttribute[]): Html {
  const groups = GROUPS.map(([from, title], index) => {
    const below = GROUPS[index + 1]?.[0] ?? 32;
    const rows = attributes.filter(({ number }) => number >= from && number < below);
    const shown = rows.map(
      (
        attribute,
      ) => html`<div><dt><span class="number">${attribute.number}</span> ${attribute.name}</dt><dd${isUnavailable(attribute) ? html` class="unavailable"` : ''}>${attribute.value}</dd></div>
`,
    );
    return html`<h3>${title}</h3>
<dl class="attributes">${shown}</dl>
`;
  });
  return html`<p>As 45 CFR 170.315(b)(11)(iv) lists them. "not available" means that it is not known, not that it does not matter.</p>
${groups}`;
}

/** The bands of a model or score, highest first. */
export function bandTable(
  bands: readonly { readonly name: string; readonly display: string; readonly output: string; readonly from: number }[],
): Html {
  return table(
    'Bands, highest first: the first whose output is at least its threshold holds',
    ['Band', 'Meaning', 'Output', 'From'],
    bands.map(({ name, display, output, from }) => [name, display, output, String(from)]),
  );
}

/** A model that learned or a graph of a published score. */
export function modelPage(entry: GraphEntry): Page {
  const { manifest, card, evaluation, plots } = entry;
  const path = pathOf(entry);
  const { citation, limits, population, features, bands } = manifest;
  const refused = html`<p class="alert"><strong>The card of this model is refused</strong> (an attribute is missing or blank), so the model does not answer.</p>
`;
  return {
    at: '/models',
    title: entry.title,
    lead: `Model card of ${entry.id}, version ${entry.version}.`,
    body: html`${facts([
      ['Model', html`<code>${entry.id}</code> version ${entry.version}`],
      ['For', population],
      ['SHA-256 of the graph', html`<code class="hash">${entry.sha256}</code>`],
      [
        'When the graph fails',
        manifest.fallback === 'none' ? 'it says nothing' : `the rules of ${manifest.fallback} stand in, marked as such`,
      ],
      ['As data', html`<a href="${path}.json">JSON</a>`],
    ])}
${section('limits', 'Limits', list(limits))}
${section('attributes', 'Source attributes', card === undefined ? refused : attributeGroups(card.attributes))}
${section(
  'population',
  'For whom it answers',
  html`<p>${population}.</p>
${eligibilityList(manifest)}`,
)}
${section('bands', 'Bands and thresholds', bandTable(bands))}
${section(
  'figures',
  'Figures',
  figureSection(evaluation) ??
    html`<p>No evaluation is held with this version. Attribute 21 says what is known.</p>
`,
)}
${section('plots', 'Plots', plotSection([...plots.keys()], path))}
${section('inputs', 'Inputs', inputTable(features))}
${section(
  'source',
  'Source and notices',
  html`<p>${citation.text} ${webLink(citation.url, citation.url)}</p>
`,
)}`,
  };
}
