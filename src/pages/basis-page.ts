/** What one card stood on, for the clinician who was shown it: the patient's own inputs with dates and units, what each added, thresholds, gaps, sources. Source: FDA CDS guidance, criterion 4; 45 CFR 170.315(b)(11). */
import type { CardBasis } from '../cds/basis/basis.ts';
import type { DecisionRecord } from '../cds/basis/decision-record.ts';
import type { Recomputed } from '../cds/basis/recompute.ts';
import { instantText } from '../cds/cards/plain-text.ts';
import type { Assessment, MissingInput, UsedInput } from '../risk/assessment.ts';
import { esiId } from '../risk/triage/esi.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { findingSections } from './finding-section.ts';
import { facts, type Html, html, list, table, type Value, webLink } from './html.ts';
import type { Page } from './layout.ts';
import { section } from './model-page.ts';
import { numberText, unitText } from './words.ts';

type Catalogue = ReadonlyMap<string, CatalogueEntry>;

/** A link to the page of a version, when it is still held. */
export function modelLink(
  catalogue: Catalogue,
  { id, version }: { readonly id: string; readonly version: string },
): Html {
  const known = catalogue.get(`${id}/${version}`);
  const name = `${known?.title ?? id}, version ${version}`;
  return known === undefined
    ? html`${name} (no longer held)`
    : html`<a href="/models/${encodeURIComponent(id)}/${encodeURIComponent(version)}">${name}</a>`;
}

const INDICATORS = { info: 'Information', warning: 'Warning', critical: 'Critical' } as const;

export function basisPage(basis: CardBasis, catalogue: Catalogue): Page {
  const { record, card } = basis;
  const { indicator, summary, source } = card.card;
  return {
    title: 'Basis of this card',
    body: html`<div class="state ${indicator}"><p class="word">${INDICATORS[indicator]}</p>
<p class="summary">${summary}</p></div>
${facts([
  ['Judged at', instantText(record.at)],
  ['Patient', `Patient/${record.patient}${record.ownPatients ? '' : ' of another server'}`],
  ['Encounter', record.encounter === undefined ? undefined : `Encounter/${record.encounter}`],
  ['Shown to', record.user],
  ['Orders looked at', record.drafts.join(', ')],
  ['Service', html`<code>${record.service}</code> on ${record.hook}`],
  ['Answers for the content', source.label],
])}
${findingSections(basis, modelLink(catalogue, record.model ?? { id: '', version: '' }))}
${triageSection(record, catalogue)}
${record.assessments.map((one, index) => assessmentSection(one, basis.again[index], catalogue))}
${thresholdSection(record)}
${section(
  'gaps',
  'Not received',
  (record.notReceived ?? []).length === 0
    ? undefined
    : html`<p>These lists were asked for and not received. What they hold was not considered.</p>
${list(record.notReceived ?? [])}`,
)}
`,
  };
}

const nothing = 'not stated';

function valueText(value: number | string | null): string {
  if (typeof value === 'number') return Number.isFinite(value) ? numberText(value) : nothing;
  return value === null || value === '' ? nothing : value;
}
const instant = (at: number | undefined): string => (at === undefined ? 'no date' : instantText(at));

/** One model: result, threshold, inputs, what is missing, and the same computed again. */
function assessmentSection(
  assessment: Assessment,
  again: Recomputed | undefined,
  catalogue: Catalogue,
): Html | undefined {
  const { model, outputs, band, atLeast, outsidePopulation, answeredBy, fallbackReason } = assessment;
  const entry = catalogue.get(`${model.id}/${model.version}`);
  const described = entry?.kind === 'graph' ? entry.manifest : entry?.kind === 'score' ? entry.file : undefined;
  const held = described?.bands.find(({ name }) => name === band);
  const results = Object.entries(outputs).map(
    ([name, value]) => `${name} ${atLeast ? 'at least ' : ''}${valueText(value)}`,
  );
  const id = `model-${model.id}`;
  return section(
    id,
    entry?.title ?? model.id,
    html`${facts([
      [
        'Result',
        outsidePopulation === undefined ? results.join(', ') || 'no statement' : `not computed: ${outsidePopulation}`,
      ],
      ['Band', band === undefined ? undefined : (held?.display ?? band)],
      ['Threshold of the band', held === undefined ? undefined : `${held.output} at least ${held.from}`],
      [
        'Answered by',
        answeredBy === 'model'
          ? 'the model'
          : `the rule-based stand-in, with low confidence${fallbackReason === undefined ? '' : `: ${fallbackReason}`}`,
      ],
      ['Computed again', againText(assessment, again)],
      ['Model', modelLink(catalogue, model)],
      ['SHA-256', html`<code class="hash">${model.sha256}</code>`],
      ['Intended population', described?.population],
      [
        'Source',
        described === undefined
          ? undefined
          : html`${described.citation.text} ${webLink(described.citation.url, described.citation.url)}`,
      ],
    ])}
${usedTable(assessment)}
${missingTable(assessment.missing)}
${contributionTable(assessment)}
${
  described === undefined || described.limits.length === 0
    ? undefined
    : html`<h3>Limits</h3>
${list(described.limits)}`
}`,
  );
}

function againText({ vector }: Assessment, again: Recomputed | undefined): string {
  if (vector === undefined) return 'not possible: no inputs were kept, since nothing was run';
  if (again === undefined || again.outputs === null) return 'not possible any more with this version';
  return again.same
    ? 'the same result from the inputs that were kept'
    : 'ANOTHER result from the inputs that were kept: tell whoever runs this server';
}

/** Inputs as used, largest effect first where effects are known. */
function usedTable(assessment: Assessment): Html {
  const { used, contributions = [] } = assessment;
  const effects = new Map(contributions.map(({ name, logOdds }) => [name, logOdds]));
  const size = ({ name, points = 0 }: UsedInput): number => Math.abs(effects.get(name) ?? points);
  const hasEffect = used.some(({ name, points }) => points !== undefined || effects.has(name));
  const rows = used
    .toSorted((one, other) => size(other) - size(one))
    .map((input): readonly Value[] => [
      input.display,
      valueText(input.value),
      unitText(input.unit),
      instant(input.at),
      ...(hasEffect ? [effectText(input, effects)] : []),
      [input.source, input.note].filter((part) => part !== undefined).join('; ') || nothing,
    ]);
  if (rows.length === 0)
    return html`<p>No input was used.</p>
`;
  const effect = contributions.length > 0 ? 'Adds (log-odds)' : 'Points';
  return table(
    'Inputs used, as recorded for this patient',
    ['Input', 'Value', 'Unit', 'Recorded', ...(hasEffect ? [effect] : []), 'From'],
    rows,
  );
}

function effectText({ name, points }: UsedInput, effects: ReadonlyMap<string, number>): string {
  const effect = effects.get(name);
  if (effect !== undefined) return signed(effect);
  return points === undefined ? nothing : numberText(points);
}
const signed = (logOdds: number): string => `${logOdds < 0 ? '' : '+'}${logOdds.toFixed(3)}`;

function missingTable(missing: readonly MissingInput[]): Html {
  if (missing.length === 0)
    return html`<p>No input is missing.</p>
`;
  const rows = missing.map(({ display, reason, optional }) => [display, reason, optional === true ? 'yes' : 'no']);
  return table('Missing inputs, not replaced by assumed values', ['Input', 'Why', 'The model does without it'], rows);
}

/** Every contribution of a trained model; with the baseline they add up to its log-odds. */
function contributionTable({ contributions = [], baseline }: Assessment): Html | undefined {
  if (contributions.length === 0) return undefined;
  const sum = (baseline ?? 0) + contributions.reduce((total, { logOdds }) => total + logOdds, 0);
  const rows = [
    ['A patient of whom nothing is known', signed(baseline ?? 0)],
    ...contributions.map(({ display, logOdds }) => [display, signed(logOdds)]),
    ['Sum: log-odds of the answer', signed(sum)],
  ];
  return table('What each input added, present or missing (Shapley values of the trees)', ['Input', 'Log-odds'], rows);
}

/** Which bands are told, and how loudly, as the service's file had it. */
function thresholdSection({ engine }: DecisionRecord): Html | undefined {
  const rows =
    engine.kind === 'scores'
      ? engine.rules.map(({ model, band, from, indicator }) => [
          `${model}: ${band}${from === undefined ? '' : `, from ${from} on`}`,
          INDICATORS[indicator],
        ])
      : engine.kind === 'drug-safety'
        ? Object.entries(engine.severities).map(([severity, indicator]) => [severity, INDICATORS[indicator]])
        : engine.learned.map(({ model, band }) => [`${model}: ${band}`, 'raises concern; nothing lowers it']);
  const heads = [engine.kind === 'drug-safety' ? 'Severity' : 'Model and band', 'Shown as'];
  return section('thresholds', 'What this service tells', table('Whatever is not in this list is silent', heads, rows));
}

function triageSection({ triage }: DecisionRecord, catalogue: Catalogue): Html | undefined {
  if (triage === undefined) return undefined;
  const { decision, edition, version, used, missing, redFlags, denied, resources } = triage;
  const level = decision.level === undefined ? '3 to 5, not determinable further' : String(decision.level);
  const inputs = used.map(({ display, value, unit, at, source, note }) => [
    display,
    valueText(value),
    unitText(unit),
    instant(at),
    [source, note].filter((part) => part !== undefined).join('; ') || nothing,
  ]);
  return section(
    'triage',
    edition.title,
    html`${facts([
      ['Level', decision.strength === 'consider' ? `consider ${level}` : level],
      ['Decision point', decision.point],
      ['Because', decision.reasons.join('; ')],
      ['Takes for granted', decision.open.map(({ assumes }) => assumes).join('; ')],
      ['Red flags', redFlags.join('; ') || 'none found'],
      ['Denied or over', denied.join('; ')],
      [
        'Resources expected',
        resources === undefined ? 'not known' : `${resources.count} (${resources.basis}) ${resources.kinds.join(', ')}`,
      ],
      ['Rules', modelLink(catalogue, { id: esiId(edition.id), version })],
    ])}
${
  inputs.length === 0
    ? html`<p>No input was used.</p>
`
    : table('Inputs used, as recorded for this patient', ['Input', 'Value', 'Unit', 'Recorded', 'From'], inputs)
}
${
  missing.length === 0
    ? undefined
    : table(
        'Missing inputs, not replaced by assumed values',
        ['Input', 'Why'],
        missing.map(({ display, reason }) => [display, reason]),
      )
}`,
  );
}

/** Instead of a page: what is refused, in words that say nothing of a patient. */
export function refusalPage(status: number): Page {
  const [title, lead] = REFUSALS[status] ?? ['Not answered', 'The server could not answer. Try again.'];
  return {
    title,
    lead,
    body: html`<p><a href="/models">Model cards</a></p>
`,
  };
}
const REFUSALS: Readonly<Record<number, readonly [title: string, lead: string]>> = {
  401: [
    'For requests with an access token',
    'A link carries no token: ask the service that showed the card to explain it.',
  ],
  403: ['Not allowed', 'This page is not given to where the request comes from.'],
  404: [
    'Not here',
    'There is nothing at this address, or not any more. Links on cards work for a limited time; call the service again for a new card.',
  ],
  421: ['Not this server', 'The address does not name this server.'],
};
