/** Pages of what is no trained model: published scores with their point tables, triage rules, drug tables. */
import type { JsonObject } from '../fhir/resource.ts';
import type { ScoreFile, ScoreItem } from '../risk/scores/score-file.ts';
import type { EsiEntry, KnowledgeEntry, ScoreEntry } from './catalogue.ts';
import { facts, type Html, html, list, table, type Value, webLink } from './html.ts';
import { eligibilityList, inputTable } from './input-table.ts';
import type { Page } from './layout.ts';
import { bandTable, pathOf, section } from './model-page.ts';
import { numberText, unitText } from './words.ts';

/** A published score: what each item adds, from the file that is computed. */
export function scorePage(entry: ScoreEntry): Page {
  const { file } = entry;
  return {
    at: '/models',
    title: entry.title,
    lead: 'A published score, computed from its table. It has learned nothing here.',
    body: html`${facts([
      ['Score', html`<code>${entry.id}</code> version ${entry.version}`],
      ['For', file.population],
      ['SHA-256 of the file', html`<code class="hash">${entry.sha256}</code>`],
      ['Notice', file.notice],
      ['As data', html`<a href="${pathOf(entry)}.json">JSON</a>`],
    ])}
${section('limits', 'Limits', list(file.limits))}
${section(
  'population',
  'For whom it is computed',
  html`<p>${file.population}.</p>
${eligibilityList(file)}`,
)}
${section('points', 'Points', html`${file.items.map(itemTable)}${resultTable(file)}`)}
${section('bands', 'Bands', bandTable(file.bands))}
${section('inputs', 'Inputs', inputTable(file.features))}
${section(
  'source',
  'Source',
  html`<p>${file.citation.text} ${webLink(file.citation.url, file.citation.url)}</p>
`,
)}`,
  };
}

function itemTable(item: ScoreItem): Html {
  if ('bands' in item) {
    const ends = item.bands.map(({ to, below }) => (to === undefined ? below : to));
    const rows = item.bands.map(({ to, below, points }, index) => {
      const start =
        index === 0 ? '' : `above ${item.bands[index - 1]?.to === undefined ? 'or at ' : ''}${ends[index - 1]}`;
      const end = to !== undefined ? `up to ${to}` : below !== undefined ? `below ${below}` : '';
      return [[start, end].filter((part) => part !== '').join(', ') || 'any', numberText(points)];
    });
    return table(`${item.display} (${item.input})`, ['Value', 'Points'], rows);
  }
  if ('rows' in item) {
    const rows = item.rows.map(({ when, points }) => [html`<code>${when}</code>`, numberText(points)]);
    return table(item.display, ['When', 'Points'], [...rows, ['otherwise', '0']]);
  }
  return table(item.display, ['Formula'], [[html`<code>${item.formula}</code>`]]);
}

function resultTable({ results, derived = [] }: ScoreFile): Html {
  const rows: (readonly Value[])[] = [
    ...derived.map(({ name, formula }) => [
      html`<code>${name}</code>`,
      html`<code>${formula}</code>`,
      'between',
      'none',
    ]),
    ...results.map(({ display, formula, unit, loinc }) => [
      display,
      html`<code>${formula}</code>`,
      unitText(unit),
      loinc ?? 'none',
    ]),
  ];
  return table('Results', ['Result', 'Formula', 'Unit', 'LOINC'], rows);
}

/** Sources, versions and licences of the drug tables, and what must be said of an evidence-based intervention. */
export function knowledgePage(entry: KnowledgeEntry): Page {
  const text = (file: JsonObject, name: string) => String(file[name] ?? 'not available');
  return {
    at: '/models',
    title: entry.title,
    lead: 'Published interaction, allergy and dosing tables, compared with the orders. Nothing here is learned; a small model only orders equal findings.',
    body: html`${facts([
      ['Version', entry.version],
      ['Date', entry.date],
      ['SHA-256 of the manifest', html`<code class="hash">${entry.sha256}</code>`],
      ['As data', html`<a href="${pathOf(entry)}.json">JSON</a>`],
    ])}
${section('statements', 'What it is and is not', facts(entry.statements.map(({ name, value }) => [name, value])))}
${section('sources', 'Sources', list(entry.sources))}
${section(
  'files',
  'Tables',
  table(
    'Tables with source, licence and revision',
    ['Table', 'Source', 'Licence', 'Revised', 'SHA-256'],
    entry.files.map((file) => [
      html`<code>${text(file, 'file')}</code>`,
      text(file, 'source'),
      text(file, 'licence'),
      text(file, 'revised'),
      html`<code class="hash">${text(file, 'sha256').slice(0, 16)}…</code>`,
    ]),
  ),
)}`,
  };
}

const months = (from: number, below: number | undefined): string =>
  below === undefined ? `from ${from} months` : `${from} to below ${below} months`;

/** The limits of an edition of the Emergency Severity Index. */
export function esiPage(entry: EsiEntry): Page {
  const { dangerZone, fever, citation, lifeSaving, highRisk, spo2Below } = entry.edition;
  return {
    at: '/models',
    title: entry.title,
    lead: 'Decision points A to D as rules. Expected resources are an estimate from complaint and orders; the complaint table is not validated clinically.',
    body: html`${facts([
      ['Rules', html`<code>${entry.id}</code> version ${entry.version}`],
      ['For', 'people of any age on arrival in an emergency department'],
      [
        'Point A: life-saving',
        `SpO2 below ${lifeSaving.spo2Below} %, responds to pain at most, or a life-saving intervention is recorded`,
      ],
      ['Point B: high risk', `new confusion, pain of ${highRisk.painFrom} or more, or a high-risk complaint`],
      ['Point D: at every age', `SpO2 below ${spo2Below} %`],
      ['SHA-256 of the file', html`<code class="hash">${entry.sha256}</code>`],
      ['As data', html`<a href="${pathOf(entry)}.json">JSON</a>`],
    ])}
${section(
  'danger',
  'Danger zone (point D)',
  table(
    'Vital signs above these limits',
    ['Age', 'Pulse above (/min)', 'Respiratory rate above (/min)'],
    dangerZone.map((row) => [
      months(row.fromMonths, row.belowMonths),
      String(row.pulseAbove),
      String(row.respiratoryRateAbove),
    ]),
  ),
)}
${section(
  'fever',
  'Fever in young children',
  table(
    'Fever rules',
    ['Rule', 'Above (Cel)', 'Level', 'Strength'],
    fever.map(({ why, above, level, strength }) => [why, String(above), String(level), strength]),
  ),
)}
${section(
  'source',
  'Source',
  html`<p>${citation.text} ${webLink(citation.url, citation.url)}</p>
`,
)}`,
  };
}
