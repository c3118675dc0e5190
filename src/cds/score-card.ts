/** Assessments -> at most one card. Content follows what a clinician needs to review the basis: inputs with dates and units, what is missing, model, population, limits, source. */
import type { Assessment, Manifest, MissingInput, UsedInput } from '../risk/assessment.ts';
import type { BuiltCard } from './card.ts';
import { type Frame, framed } from './card-frame.ts';
import { HEADINGS } from './card-lint.ts';
import { escaped, instantText, plain } from './plain-text.ts';
import type { ScoreRule, ScoresEngine } from './service.ts';

export interface Scored {
  readonly manifest: Manifest;
  readonly assessment: Assessment;
}

/** Longest text of a manifest (population, a limit, a citation) on a card. */
const PROSE_LIMIT = 600;

/**
 * The card of a scores service.
 * One card when a rule holds for an assessment that makes a statement. A total with missing inputs ("at least N") is a statement only when N
 * alone reaches a band above the lowest; a patient outside the intended population gets none. Otherwise silent, or one notice when the service asks for it.
 */
export function scoreCards(frame: Frame, engine: ScoresEngine, scored: readonly Scored[]): readonly BuiltCard[] {
  const hits = engine.rules.flatMap((rule) => {
    const of = scored.find(({ assessment, manifest }) => manifest.id === rule.model && assessment.band === rule.band);
    return of !== undefined && makesStatement(of) ? [{ rule, of }] : [];
  });
  const [lead] = hits;
  if (lead === undefined) return noStatement(frame, engine, scored);
  const others = hits.filter(({ of }) => of !== lead.of);
  return [
    framed(frame, {
      kind: 'score',
      key: `score ${lead.rule.model} ${lead.rule.band}`,
      indicator: lead.rule.indicator,
      summary: summaryOf(
        engine,
        lead,
        others.map(({ of }) => of),
      ),
      detail: detailOf(frame, engine, scored),
      links: modelLinks(frame, scored),
    }),
  ];
}

/** To the page of each model's version, then to its published source. */
export function modelLinks({ links }: Frame, scored: readonly Scored[]) {
  return [
    ...scored.map(({ manifest, assessment: { model } }) => ({
      label: plain(`Model card: ${manifest.title} ${model.version}`, 100),
      url: links.model(model.id, model.version),
    })),
    ...scored.map(({ manifest }) => ({ label: plain(`${manifest.title}: source`, 100), url: manifest.citation.url })),
  ];
}

/** False for no band, outside the population, or a lower bound that reaches only the lowest band. */
export function makesStatement({ assessment, manifest }: Scored): boolean {
  if (assessment.band === undefined || assessment.outsidePopulation !== undefined) return false;
  return !assessment.atLeast || assessment.band !== manifest.bands.at(-1)?.name;
}

function noStatement(frame: Frame, engine: ScoresEngine, scored: readonly Scored[]): readonly BuiltCard[] {
  const undecided = scored.filter((one) => !makesStatement(one) && one.assessment.outsidePopulation === undefined);
  if (frame.service.whenIncomplete === 'silent' || undecided.length === 0) return [];
  const missing = [...new Set(undecided.flatMap(({ assessment }) => assessment.missing.map(({ display }) => display)))];
  const names = undecided.map(({ manifest }) => labelOf(engine, manifest)).join(', ');
  return [
    framed(frame, {
      kind: 'notice',
      key: 'incomplete',
      indicator: 'info',
      summary: `${names} not available: inputs are missing`,
      detail: [`**${HEADINGS.missing}:** ${missing.map((name) => escaped(name)).join(', ') || 'not stated'}.`],
      links: [],
    }),
  ];
}

const labelOf = (engine: ScoresEngine, manifest: Manifest) => engine.labels?.[manifest.id] ?? plain(manifest.title);

const bandOf = ({ manifest, assessment }: Scored) => manifest.bands.find(({ name }) => name === assessment.band);

/** `at least 7`, `7`, `0.31`: the output that the service names as the model's score; undefined when it names none or the model gave none. */
function scoreText(engine: ScoresEngine, { manifest, assessment }: Scored): string | undefined {
  const value = assessment.outputs[engine.scoreOutputs?.[manifest.id] ?? ''];
  if (value === undefined || !Number.isFinite(value)) return undefined;
  return `${assessment.atLeast ? 'at least ' : ''}${numberText(value)}`;
}

/** Whole numbers as they are, others with at most three significant digits beyond the point. */
const numberText = (value: number) => String(Number(value.toFixed(Math.abs(value) < 1 ? 3 : 1)));

/** `NEWS2 at least 7`, or label and band where there is no number. */
function headline(engine: ScoresEngine, one: Scored): string {
  const said = scoreText(engine, one) ?? plain(bandOf(one)?.display ?? '');
  return `${labelOf(engine, one.manifest)} ${said}`.trim();
}

function summaryOf(
  engine: ScoresEngine,
  { rule, of }: { readonly rule: ScoreRule; readonly of: Scored },
  others: readonly Scored[],
): string {
  const tokens = {
    label: labelOf(engine, of.manifest),
    score: scoreText(engine, of) ?? '',
    band: plain(bandOf(of)?.display ?? rule.band),
    others: others.map((other) => `; ${headline(engine, other)}`).join(''),
  };
  return plain(
    rule.summary.replace(/\{(label|score|band|others)\}/g, (_all, token: keyof typeof tokens) => tokens[token]),
    400,
  );
}

function detailOf({ at, prefetched }: Frame, engine: ScoresEngine, scored: readonly Scored[]): readonly string[] {
  const labels = scored.map(({ manifest }) => labelOf(engine, manifest)).join(', ');
  const missing = onceByDisplay(scored.flatMap(({ assessment }) => missingShown(assessment)));
  const missingText = missing
    .map(
      ({ display, reason, optional }) =>
        `- ${escaped(display)}: ${escaped(reason, 200)}${optional ? ' (the model does without it)' : ''}`,
    )
    .join('\n');
  return [
    `**${HEADINGS.computed}:** ${escaped(labels, 200)}, from recorded data, at ${instantText(at)}.`,
    scored.map((one) => `- ${resultLine(engine, one)}`).join('\n'),
    `**${HEADINGS.inputs}** (value as used, largest effect first)`,
    inputTable(engine, scored),
    missing.length === 0
      ? `**${HEADINGS.missing}:** none${prefetched.missing.length === 0 ? '' : ' that these models name'}.`
      : `**${HEADINGS.missing}** (not replaced by assumed values):\n\n${missingText}`,
    `**${HEADINGS.model}:** ${scored.map(modelText).join('; ')}.`,
    `**${HEADINGS.population}:** ${scored.map((one) => populationText(engine, one)).join(' ')}`,
    `**${HEADINGS.limits}:**\n\n${scored.map((one) => limitsText(engine, one)).join('\n')}`,
    `**${HEADINGS.evidence}:** ${[...new Set(scored.map(({ manifest }) => sentence(manifest.citation.text)))].join(' ')}`,
  ];
}

function limitsText(engine: ScoresEngine, { manifest }: Scored): string {
  const limits = manifest.limits.map(sentence).join(' ');
  return `- ${escaped(labelOf(engine, manifest))}: ${limits === '' ? 'not stated.' : limits}`;
}

const sentence = (text: string) => `${escaped(text, PROSE_LIMIT).replace(/\.+$/, '')}.`;

function resultLine(engine: ScoresEngine, one: Scored): string {
  const label = escaped(labelOf(engine, one.manifest));
  const { outsidePopulation } = one.assessment;
  if (outsidePopulation !== undefined) return `${label}: not computed, ${escaped(outsidePopulation, 200)}`;
  if (!makesStatement(one)) return `${label}: no statement, inputs are missing`;
  const band = escaped(bandOf(one)?.display ?? one.assessment.band ?? '', 200);
  const score = scoreText(engine, one);
  return score === undefined ? `**${label}:** ${band}` : `**${label}: ${score}** (${band})`;
}

/** Inputs of a trained model that are shown: those that moved the answer most. */
const SHOWN_INPUTS = 8;

const effectsOf = ({ contributions = [] }: Assessment): ReadonlyMap<string, number> =>
  new Map(contributions.map(({ name, logOdds }) => [name, logOdds]));

/** The ones that moved the answer most first, of a trained model; as they are, of a score. */
function strongest<T extends { readonly name: string }>(inputs: readonly T[], assessment: Assessment): readonly T[] {
  if (assessment.contributions === undefined) return inputs;
  const effects = effectsOf(assessment);
  const size = ({ name }: T): number => Math.abs(effects.get(name) ?? 0);
  return inputs.toSorted((a, b) => size(b) - size(a)).slice(0, SHOWN_INPUTS);
}

function missingShown(assessment: Assessment): readonly MissingInput[] {
  const shown = strongest(assessment.missing, assessment);
  const hidden = assessment.missing.length - shown.length;
  if (hidden === 0) return shown;
  const more = { name: '', display: `${hidden} further inputs`, reason: 'with less effect', optional: true as const };
  return [...shown, more];
}

/** `raises +0.42`: the log-odds that an input of a trained model adds. */
function effectText(logOdds: number): string {
  const sign = logOdds < 0 ? '-' : '+';
  return `${logOdds < 0 ? 'lowers' : 'raises'} ${sign}${Math.abs(logOdds).toFixed(2)}`;
}

/** One row for each input and measurement; points by score, or the effect in log-odds by trained model. */
function inputTable(engine: ScoresEngine, scored: readonly Scored[]): string {
  const rows = new Map<string, { readonly input: UsedInput; readonly points: string[]; total: number }>();
  for (const { manifest, assessment } of scored) {
    const effects = effectsOf(assessment);
    for (const input of strongest(assessment.used, assessment)) {
      const key = JSON.stringify([input.display, input.value, input.unit, input.at ?? null]);
      const row = rows.get(key) ?? { input, points: [], total: 0 };
      if (input.points !== undefined) {
        row.points.push(`${labelOf(engine, manifest)} ${numberText(input.points)}`);
        row.total += input.points;
      }
      const effect = effects.get(input.name);
      if (effect !== undefined) {
        row.points.push(`${labelOf(engine, manifest)} ${effectText(effect)}`);
        row.total += Math.abs(effect);
      }
      rows.set(key, row);
    }
  }
  const lines = [...rows.values()]
    .toSorted((one, other) => other.total - one.total)
    .map(({ input, points }) => {
      const value = typeof input.value === 'number' ? String(Number(input.value.toFixed(3))) : input.value;
      const note = input.note === undefined ? '' : ` (${escaped(input.note, 120)})`;
      const measured = `${input.at === undefined ? '–' : instantText(input.at)}${note}`;
      return `| ${escaped(input.display)} | ${escaped(value) || '–'} | ${escaped(input.unit) || '–'} | ${escaped(points.join(', '), 120) || '–'} | ${measured} |`;
    });
  if (lines.length === 0) return 'None.';
  const trained = scored.some(({ assessment }) => assessment.contributions !== undefined);
  const effect = trained ? 'Effect (log-odds)' : 'Points';
  return [`| Input | Value | Unit | ${effect} | Measured |`, '|---|---|---|---|---|', ...lines].join('\n');
}

function onceByDisplay(missing: readonly MissingInput[]): readonly MissingInput[] {
  return [...new Map(missing.map((input) => [input.display, input])).values()];
}

function modelText({ assessment: { model, answeredBy, fallbackReason } }: Scored): string {
  const name = `${escaped(model.id)} version ${escaped(model.version)}`;
  if (answeredBy === 'model') return name;
  const why = fallbackReason === undefined ? '' : ` (${escaped(fallbackReason, 120)})`;
  return `${name}, answered by the rule-based stand-in with low confidence${why}`;
}

function populationText(engine: ScoresEngine, { manifest, assessment }: Scored): string {
  const inside =
    assessment.outsidePopulation === undefined
      ? 'nothing recorded places this patient outside it'
      : 'this patient is outside it';
  return `${escaped(labelOf(engine, manifest))}: ${escaped(manifest.population, PROSE_LIMIT)} (${inside}).`;
}
