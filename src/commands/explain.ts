/** `firewatch explain`: a card's decision record in words, its scores computed again, for who runs the server. Its text holds the patient's values. */
import type { Command } from 'commander';
import type { DecisionRecord, RecordedTriage } from '../cds/basis/decision-record.ts';
import type { Explanation } from '../cds/basis/explanation.ts';
import type { Recomputed } from '../cds/basis/recompute.ts';
import { instantText } from '../cds/cards/plain-text.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { Assessment, MissingInput, UsedInput } from '../risk/assessment.ts';
import { buildSystem } from '../system.ts';
import { heldConfig } from './held-config.ts';

/** Whether a result came out again. `not run`: there was none to compare, as outside a model's population. */
export type Verdict = 'same' | 'different' | 'unknown' | 'not run';

/** @param computed whether this version gives any answer now */
function verdictOf(same: boolean | null, computed: boolean): Verdict {
  if (same === true) return 'same';
  return same === false && computed ? 'different' : 'unknown';
}

const scoreVerdict = ({ vector, outputs }: Assessment, { same, outputs: again }: Recomputed): Verdict =>
  vector === undefined && Object.keys(outputs).length === 0 ? 'not run' : verdictOf(same, again !== null);

const TOLD = {
  same: 'same',
  different: 'DIFFERENT',
  unknown: 'UNKNOWN: no inputs were kept, or this version gives no answer any more',
  'not run': 'not run, so there is nothing to compare',
} as const satisfies Record<Verdict, string>;

const dated = (at: number | undefined): string => (at === undefined ? 'no date' : instantText(at));
const inputLine = ({ display, value, unit, at, source, note }: RecordedTriage['used'][number] | UsedInput): string =>
  `  input      ${[`${display}: ${value} ${unit}`, dated(at), source, note].filter((part) => part !== undefined).join(', ')}`;
const missingLine = ({ display, reason }: RecordedTriage['missing'][number] | MissingInput): string =>
  `  missing    ${display}: ${reason}`;
const resultText = (outputs: Readonly<Record<string, number>>): string =>
  Object.entries(outputs)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ') || 'nothing';

function scoreLines(one: Assessment, again: Recomputed, verdict: Verdict): readonly string[] {
  const { model, outputs, atLeast, band, answeredBy, fallbackReason, outsidePopulation } = one;
  const by = answeredBy === 'model' ? 'the model' : `the stand-in${fallbackReason ? `: ${fallbackReason}` : ''}`;
  return [
    `${model.id} ${model.version}, SHA-256 ${model.sha256}`,
    `  answered   by ${by}${outsidePopulation === undefined ? '' : `; not computed: ${outsidePopulation}`}`,
    ...one.used.map(inputLine),
    ...one.missing.map(missingLine),
    `  shown      ${atLeast ? 'at least ' : ''}${resultText(outputs)}${band === undefined ? '' : `, band ${band}`}`,
    `  recomputed ${again.outputs === null ? 'nothing' : resultText(again.outputs)}`,
    `  verdict    ${TOLD[verdict]}`,
  ];
}

/** What the service told of, as its file had it at the time. */
function thresholdLines({ engine }: DecisionRecord): readonly string[] {
  switch (engine.kind) {
    case 'scores':
      return engine.rules.map(
        ({ model, band, from, indicator }) =>
          `threshold    ${model}: ${band}${from === undefined ? '' : `, from ${from} on`} -> ${indicator}`,
      );
    case 'drug-safety':
      return Object.entries(engine.severities).map(
        ([severity, indicator]) => `threshold    ${severity} -> ${indicator}`,
      );
    case 'triage':
      return engine.learned.map(({ model, band }) => `threshold    ${model}: ${band} -> raises concern`);
    default:
      return engine satisfies never;
  }
}

function triageLines({ decision, triageAgain: again }: Explanation, verdict: Verdict): readonly string[] {
  const { triage } = decision;
  if (triage === undefined || again === undefined) return [];
  const level = triage.decision.level ?? 'not determined';
  return [
    `${triage.edition.title}, table ${triage.version}`,
    ...triage.used.map(inputLine),
    ...triage.missing.map(missingLine),
    `  shown      level ${level}`,
    `  recomputed ${again.same === null ? 'nothing' : `level ${again.level ?? 'not determined'}`}`,
    `  verdict    ${TOLD[verdict]}`,
  ];
}

/** The explanation as lines, and what became of each result in it. */
export function explained(explanation: Explanation): {
  readonly lines: readonly string[];
  readonly verdicts: readonly Verdict[];
} {
  const { card, decision, computedAgain, triageAgain } = explanation;
  const scores = decision.assessments.flatMap((one, index) => {
    const again = computedAgain[index];
    return again === undefined ? [] : [{ one, again, verdict: scoreVerdict(one, again) }];
  });
  const ofTriage = triageAgain === undefined ? [] : [verdictOf(triageAgain.same, triageAgain.same !== null)];
  const verdicts = [...scores.map(({ verdict }) => verdict), ...ofTriage];
  const lines = [
    `card         ${card?.uuid ?? ''} ${card?.card.indicator ?? ''}: ${card?.card.summary ?? ''}`,
    `judged       ${instantText(decision.at)}, ${decision.service} on ${decision.hook}, for client ${decision.client}`,
    `patient      Patient/${decision.patient}${decision.ownPatients ? '' : ' of another server'}`,
    ...thresholdLines(decision),
    ...decision.findings.map(
      ({ severity, rule }) => `finding      ${rule.id}, ${severity}; findings are not recomputed`,
    ),
    ...scores.flatMap(({ one, again, verdict }) => scoreLines(one, again, verdict)),
    ...ofTriage.flatMap((verdict) => triageLines(explanation, verdict)),
    ...(verdicts.length === 0 ? ['No score belongs to this decision: nothing to recompute.'] : []),
  ];
  return { lines, verdicts };
}

export function explainCommand(program: Command): void {
  program
    .command('explain')
    .argument('<uuid>', 'uuid of a card')
    .option('--client <name>', 'the client that was sent it; default: all that are registered')
    .description(
      "what a card stood on (the patient's values), its scores recomputed from the sealed record, while no server runs on the store; exit code 1 when one is different or unknown",
    )
    .action(async (uuid: string, { client }: { readonly client?: string }) => {
      const system = await buildSystem({ ...heldConfig(), LOG_LEVEL: 'error', MONITORING: 'off', SURVEILLANCE: 'off' });
      try {
        const caller = localCaller(localFacts(system.ambient.newId(), '127.0.0.1'));
        const { lines, verdicts } = explained(await system.cds.explanation(uuid, client, caller));
        for (const line of lines) console.log(line);
        if (verdicts.some((each) => each === 'different' || each === 'unknown')) process.exitCode = 1;
      } finally {
        await system.close();
      }
    });
}
