/** What a drug finding stood on: the drugs with state and date, allergy, facts of the patient, rule and citation. */
import type { CardBasis } from '../cds/basis/basis.ts';
import type { RecordedFinding } from '../cds/basis/decision-record.ts';
import { instantText } from '../cds/cards/plain-text.ts';
import type { DrugMention } from '../risk/drugs/finding.ts';
import { facts, type Html, html, table, webLink } from './html.ts';
import { section } from './model-page.ts';

const STATES = {
  draft: 'being ordered',
  active: 'current',
  washout: 'stopped, its effect may last',
} as const satisfies Record<DrugMention['state'], string>;

const instant = (at: number | undefined): string => (at === undefined ? 'no date' : instantText(at));

export function findingSections({ findings, card }: CardBasis, knowledge: Html): readonly (Html | undefined)[] {
  if (card.kind !== 'finding') return [];
  return findings.map((finding, index) => findingSection(finding, `finding-${index}`, knowledge));
}

function findingSection(finding: RecordedFinding, id: string, knowledge: Html): Html | undefined {
  const { rule, severity, kind, effect, context, evidence = [], priority } = finding;
  return section(
    id,
    'What was found',
    html`${facts([
      ['Kind', kind],
      ['Severity', severity],
      ['What can happen', effect],
      ['In this context', context === undefined ? undefined : `${context.reason} (${context.id})`],
      ['Rule', html`<code>${rule.id}</code>`],
      ['Source of the rule', html`${rule.citation} ${rule.url === undefined ? '' : webLink(rule.url, rule.url)}`],
      ['Also named by', evidence.join(', ')],
      [
        'Order among equals',
        priority === undefined ? undefined : `${priority.toFixed(2)} of 1, by a small model; it decides no severity`,
      ],
      ['Tables', knowledge],
    ])}
${mentionTable(finding)}
${factTable(finding)}`,
  );
}

function mentionTable({ draft, other, further = [] }: RecordedFinding): Html | undefined {
  const mentions = [draft, other, ...further].filter((mention) => mention !== undefined);
  if (mentions.length === 0) return undefined;
  return table(
    'Drugs, as ordered and recorded',
    ['Drug', 'Recognised as', 'State', 'Recorded', 'From'],
    mentions.map(({ display, ingredients, rxcui, state, at, stale, source }) => [
      display,
      `${ingredients.join(', ')}${rxcui === undefined ? '' : ` (RxNorm ${rxcui})`}`,
      `${STATES[state]}${stale === true ? '; over a year old, may not be taken any more' : ''}`,
      instant(at),
      source,
    ]),
  );
}

function factTable({ facts: known = [], allergy }: RecordedFinding): Html | undefined {
  const rows = [
    ...(allergy === undefined ? [] : [[`Allergy: ${allergy.display}`, instant(allergy.at), allergy.source]]),
    ...known.map(({ display, at, source }) => [display, instant(at), source ?? 'not stated']),
  ];
  return rows.length === 0 ? undefined : table('Facts of the patient', ['Fact', 'Recorded', 'From'], rows);
}
