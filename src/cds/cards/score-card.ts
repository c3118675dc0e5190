/** Assessments -> at most one card. Content follows what a clinician needs to review the basis: inputs with dates and units, what is missing, model, population, limits, source. */
import type { Assessment, Manifest, UsedInput } from '../../risk/assessment.ts';
import type { ScoreRule, ScoresEngine } from '../services/service.ts';
import type { BuiltCard } from './card.ts';
import { type Frame, framed } from './frame.ts';
import { HEADINGS } from './lint.ts';
import { offeredOrders } from './order-set.ts';
import { escaped, instantText, percentText, plain, valueText } from './plain-text.ts';

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
    const of = scored.find(({ manifest }) => manifest.id === rule.model);
    return of !== undefined && makesStatement(of) && ruleOf(engine, of) === rule ? [{ rule, of }] : [];
  });
  const [lead] = hits;
  if (lead === undefined) return noStatement(frame, engine, scored);
  const { text: offered, ...suggested } = offeredOrders(frame, engine, scored);
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
      detail: detailOf(frame, engine, scored, offered),
      ...suggested,
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

/** The first rule that holds for an assessment: from its threshold on, or in its band. The stand-in has no scores to hold against a threshold. */
function ruleOf(engine: ScoresEngine, one: Scored): ScoreRule | undefined {
  const { manifest, assessment } = one;
  const value = assessment.answeredBy === 'model' ? scoreOf(engine, one) : undefined;
  return engine.rules.find(({ model, band, from }) => {
    if (model !== manifest.id) return false;
    return from === undefined || value === undefined ? assessment.band === band : value >= from;
  });
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

/** The band that the service's thresholds give, otherwise the model's own. */
function bandOf(engine: ScoresEngine, one: Scored): Manifest['bands'][number] | undefined {
  const { manifest, assessment } = one;
  const hasThresholds = engine.rules.some(({ model, from }) => model === manifest.id && from !== undefined);
  const own = hasThresholds ? (ruleOf(engine, one)?.band ?? manifest.bands.at(-1)?.name) : assessment.band;
  return manifest.bands.find(({ name }) => name === own);
}

/** The output that the service names as the model's score; undefined when it names none or the model gave none. */
function scoreOf(engine: ScoresEngine, { manifest, assessment }: Scored): number | undefined {
  const value = assessment.outputs[engine.scoreOutputs?.[manifest.id] ?? ''];
  return value === undefined || !Number.isFinite(value) ? undefined : value;
}

/** `at least 7`, `7`, `31 %`. */
function scoreText(engine: ScoresEngine, one: Scored): string | undefined {
  const value = scoreOf(engine, one);
  if (value === undefined) return undefined;
  const isProbability = engine.scoreOutputs?.[one.manifest.id] === 'probability';
  return `${one.assessment.atLeast ? 'at least ' : ''}${isProbability ? percentText(value) : numberText(value)}`;
}

/** Whole numbers as they are, others with at most three significant digits beyond the point. */
const numberText = (value: number) => String(Number(value.toFixed(Math.abs(value) < 1 ? 3 : 1)));

/** `NEWS2 at least 7`, or label and band where there is no number. */
function headline(engine: ScoresEngine, one: Scored): string {
  const said = scoreText(engine, one) ?? plain(bandOf(engine, one)?.display ?? '');
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
    band: plain(bandOf(engine, of)?.display ?? rule.band),
    others: others.map((other) => `; ${headline(engine, other)}`).join(''),
  };
  return plain(
    rule.summary.replace(/\{(label|score|band|others)\}/g, (_all, token: keyof typeof tokens) => tokens[token]),
    400,
  );
}

function detailOf(
  { at, prefetched, service }: Frame,
  engine: ScoresEngine,
  scored: readonly Scored[],
  offered: readonly string[],
): readonly string[] {
  const { brief = {} } = service;
  return [
    `**${HEADINGS.computed}**, from recorded data, at ${instantText(at)}:`,
    scored.map((one) => `- ${resultLine(engine, one)}`).join('\n'),
    ...scored.flatMap((one) => meaningOf(engine, one)),
    ...offered,
    `**${HEADINGS.inputs}** (largest effect first)`,
    inputTable(engine, scored),
    ...takenAsNone(scored),
    missingLine(scored, prefetched.missing.length > 0),
    `**${HEADINGS.model}:** ${scored.map(modelText).join('; ')}.`,
    `**${HEADINGS.population}:** ${populationText(engine, scored, brief.population)}`,
    `**${HEADINGS.limits}:** ${brief.limits ?? scored.map((one) => limitsText(engine, one)).join(' ')}`,
    `**${HEADINGS.evidence}:** ${brief.source ?? [...new Set(scored.map(({ manifest }) => sentence(manifest.citation.text)))].join(' ')}`,
  ];
}

function limitsText(engine: ScoresEngine, { manifest }: Scored): string {
  const limits = manifest.limits.map(sentence).join(' ');
  return `${escaped(labelOf(engine, manifest))}: ${limits === '' ? 'not stated.' : limits}`;
}

const sentence = (text: string) => `${escaped(text, PROSE_LIMIT).replace(/\.+$/, '')}.`;

function resultLine(engine: ScoresEngine, one: Scored): string {
  const label = escaped(labelOf(engine, one.manifest));
  const { outsidePopulation } = one.assessment;
  if (outsidePopulation !== undefined) return `${label}: not computed, ${escaped(outsidePopulation, 200)}`;
  if (!makesStatement(one)) return `${label}: no statement, inputs are missing`;
  const band = escaped(bandOf(engine, one)?.display ?? one.assessment.band ?? '', 200);
  const score = scoreText(engine, one);
  return score === undefined ? `**${label}:** ${band}` : `**${label}: ${score}** (${band})${partsText(one)}`;
}

/** Points that stand beside no input, since several inputs decide them: without them the rows do not add up. */
function partsText({ assessment: { parts = {}, used } }: Scored): string {
  const inputs = new Set(used.map(({ name }) => name));
  const told = Object.entries(parts).filter(([name, points]) => points !== 0 && !inputs.has(name));
  const words = (name: string) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return told.length === 0
    ? ''
    : `, of which by several inputs: ${told.map(([name, points]) => `${escaped(words(name))} ${numberText(points)}`).join(', ')}`;
}

/** The estimate as people out of a hundred, and what the threshold meant where it was measured. */
function meaningOf(engine: ScoresEngine, one: Scored): readonly string[] {
  const rule = ruleOf(engine, one);
  const value = scoreOf(engine, one);
  if (rule?.from === undefined || value === undefined || !makesStatement(one)) return [];
  const own = one.manifest.bands.find(({ name }) => name === rule.band)?.from;
  const threshold = percentText(rule.from);
  const measured =
    rule.from === own
      ? `Threshold ${threshold}.${rule.meaning === undefined ? '' : ` ${rule.meaning}`}`
      : `Threshold ${threshold}, set by this site${own === undefined ? '' : `; the model's own is ${percentText(own)}`}: what it means was not measured.`;
  const outcome = engine.outcomes?.[one.manifest.id];
  const estimate =
    outcome === undefined
      ? ''
      : `by the model's estimate about ${Math.round(value * 100)} of 100 such patients ${outcome}. `;
  return [`**What it means:** ${estimate}${measured}`];
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

/** What is missing, by reason; of a trained model the inputs that matter most by name, the others by number. */
function missingLine(scored: readonly Scored[], isPartial: boolean): string {
  const byReason = new Map<string, Set<string>>();
  for (const { assessment } of scored) {
    for (const { display, reason, optional } of strongest(assessment.missing, assessment)) {
      const isRequired = optional !== true && assessment.contributions === undefined;
      const names = byReason.get(reason) ?? new Set<string>();
      names.add(
        `${escaped(display) || 'unnamed'}${isRequired || assessment.contributions !== undefined ? '' : ' (optional)'}`,
      );
      byReason.set(reason, names);
    }
  }
  const hidden = scored.reduce((sum, { assessment }) => sum + unnamed(assessment), 0);
  if (byReason.size === 0) return `**${HEADINGS.missing}:** none${isPartial ? ' that these models name' : ''}.`;
  const lines = [...byReason].map(
    ([reason, names]) => `- ${escaped(reason, 200) || 'no reason given'}: ${listed([...names])}`,
  );
  const more = hidden === 0 ? [] : [`- ${hidden} further ${hidden === 1 ? 'input' : 'inputs'}, with less effect`];
  return `**${HEADINGS.missing}** (not replaced by assumed values):\n\n${[...lines, ...more].join('\n')}`;
}

/** Names that hold commas themselves are told apart. */
const listed = (names: readonly string[]): string => names.join(names.some((name) => name.includes(',')) ? '; ' : ', ');

const unnamed = (assessment: Assessment): number =>
  assessment.missing.length - strongest(assessment.missing, assessment).length;

/** `raises risk (odds × 1.5)`: what an input of a trained model adds, as a factor. */
function effectText(logOdds: number): string {
  return `${logOdds < 0 ? 'lowers' : 'raises'} risk (odds × ${Math.exp(logOdds).toFixed(2)})`;
}

/** Inputs of one name, value and instant: what a model makes of them is told as one effect. */
interface InputRow {
  readonly input: UsedInput;
  readonly points: string[];
  readonly effects: Map<Manifest, number>;
  total: number;
}

/** Nothing is recorded, and the score says what that means: no drug, no condition. What moves the answer keeps its row. */
const isNone = ({ value, note, points = 0 }: UsedInput, { contributions }: Assessment): boolean =>
  contributions === undefined &&
  points === 0 &&
  (value === 'not recorded' || (value === 0 && note === 'none recorded'));

/** What was taken as absent since nothing is recorded of it, in one line. */
function takenAsNone(scored: readonly Scored[]): readonly string[] {
  const none = scored.flatMap(({ assessment }) => assessment.used.filter((input) => isNone(input, assessment)));
  const names = [...new Set(none.map(({ display }) => escaped(display)))];
  return names.length === 0 ? [] : [`**Not recorded, and taken as absent:** ${listed(names)}.`];
}

/** Which reading of a window it is: the latest one may be the highest, too, and is shown once. */
const CHOSEN = /, (?:first|lowest|highest) of \d+ h$/;

/** One row for each input and measurement; points by score, or the effect on the risk by trained model. */
function inputTable(engine: ScoresEngine, scored: readonly Scored[]): string {
  const rows = new Map<string, InputRow>();
  const told = scored.filter(({ assessment }) => assessment.used.length > 0);
  const named = (manifest: Manifest, text: string) => (told.length > 1 ? `${labelOf(engine, manifest)} ${text}` : text);
  for (const { manifest, assessment } of told) {
    const effects = effectsOf(assessment);
    for (const input of strongest(assessment.used, assessment)) {
      if (isNone(input, assessment)) continue;
      const measure = input.display.replace(CHOSEN, '');
      const key = JSON.stringify([measure, input.value, input.unit, input.at ?? null]);
      const row: InputRow = rows.get(key) ?? { input, points: [], effects: new Map(), total: 0 };
      if (input.points !== undefined) {
        row.points.push(named(manifest, numberText(input.points)));
        row.total += input.points;
      }
      const effect = effects.get(input.name);
      if (effect !== undefined) row.effects.set(manifest, (row.effects.get(manifest) ?? 0) + effect);
      rows.set(key, row);
    }
  }
  for (const row of rows.values()) {
    for (const [manifest, effect] of row.effects) {
      row.points.push(named(manifest, effectText(effect)));
      row.total += Math.abs(effect);
    }
  }
  const lines = [...rows.values()]
    .toSorted((one, other) => other.total - one.total)
    .map(({ input, points }) => {
      const note = escaped(input.note ?? '', 120);
      const measured = `${input.at === undefined ? '–' : instantText(input.at)}${note === '' ? '' : ` (${note})`}`;
      const value = escaped(valueText(input.value, input.unit)) || 'not legible';
      return `| ${escaped(input.display) || 'unnamed'} | ${value} | ${escaped(points.join(', '), 120) || '–'} | ${measured} |`;
    });
  if (lines.length === 0) return 'None.';
  const isTrained = scored.some(({ assessment }) => assessment.contributions !== undefined);
  return [`| Input | Value | ${isTrained ? 'Effect' : 'Points'} | Measured |`, '|---|---|---|---|', ...lines].join(
    '\n',
  );
}

function modelText({ assessment: { model, answeredBy, fallbackReason } }: Scored): string {
  const name = `${escaped(model.id)} version ${escaped(model.version)}`;
  if (answeredBy === 'model') return name;
  const why = fallbackReason === undefined ? '' : ` (${escaped(fallbackReason, 120)})`;
  return `${name}, answered by the rule-based stand-in with low confidence${why}`;
}

/** Whom the models are for, and which of them this patient is not for. */
function populationText(engine: ScoresEngine, scored: readonly Scored[], brief: string | undefined): string {
  const labels = (those: readonly Scored[]) =>
    those.map(({ manifest }) => escaped(labelOf(engine, manifest))).join(', ');
  const outside = scored.filter(({ assessment }) => assessment.outsidePopulation !== undefined);
  const whom =
    brief ??
    scored
      .map(
        ({ manifest }) =>
          `${labels(scored.filter((one) => one.manifest === manifest))}: ${sentence(manifest.population)}`,
      )
      .join(' ');
  const inside =
    outside.length === 0
      ? 'Nothing recorded places this patient outside it.'
      : `This patient is outside it for ${labels(outside)}.`;
  return `${whom} ${inside}`;
}
