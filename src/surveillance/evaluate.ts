/**
 * Judges days of one definition: counts what is not kept, writes the MeasureReport, then the DetectedIssues, at last the kept day. Whatever a
 * crash leaves out is done again with the same ids and the same content, which writes nothing twice. Of two runs at once the later sees the
 * day changed and judges again.
 */
import { instantText } from '../fhir/time.ts';
import type { Command } from '../store/port.ts';
import { type Judgement, judge, reachOf } from './aberration.ts';
import { type Case, casesOf } from './cases.ts';
import { type Entry, type KeptDay, keepDay, keptDays } from './count-book.ts';
import type { Definition } from './definition.ts';
import type { SurveillanceDoor } from './door.ts';
import { detectedIssue, issueId, issueUpon, issueWithdrawn, measureReport, reportId, type Signal } from './report.ts';
import { type Day, dayOf, daysFrom, earliest, plusDays, startOf } from './site-day.ts';
import { instantQueries } from './source.ts';
import type { Unit } from './unit.ts';

export interface Evaluation {
  readonly definition: Definition;
  readonly from: Day;
  readonly to: Day;
  /** True: baselines are counted again too, instead of read from what is kept. */
  readonly isAnew?: boolean;
  /** What stands or falls with a day's counts: a cursor. */
  also?(day: Day): Promise<readonly Command[]>;
  /** After each day that is judged. */
  onDay?(day: Day): void;
}
export interface Site {
  readonly door: SurveillanceDoor;
  /** IANA time zone. */
  readonly zone: string;
}

/** Days that are counted in one piece. */
const BLOCK = 31;
const ATTEMPTS = 4;

/** Another run has kept a day of this one: what was read is old. */
class Overtaken extends Error {}

/** @throws Error when a search or a write is refused */
export async function evaluate(evaluation: Evaluation, site: Site): Promise<void> {
  let from = evaluation.from;
  let attempt = 1;
  while (from <= evaluation.to) {
    const to = earliest(plusDays(from, BLOCK - 1), evaluation.to);
    try {
      await new Block({ ...evaluation, from, to }, site).run();
      from = plusDays(to, 1);
      attempt = 1;
    } catch (error) {
      if (!(error instanceof Overtaken) || attempt++ === ATTEMPTS) throw error;
    }
  }
}

class Block {
  readonly #evaluation: Evaluation;
  readonly #site: Site;
  readonly #held = new Map<Day, Entry>();
  readonly #days = new Map<Day, KeptDay>();
  #cases: ReadonlyMap<Day, readonly Case[]> = new Map();

  constructor(evaluation: Evaluation, site: Site) {
    this.#evaluation = evaluation;
    this.#site = site;
  }

  async run(): Promise<void> {
    await this.#count();
    for (const day of daysFrom(this.#evaluation.from, this.#evaluation.to)) {
      await this.#judge(day);
      this.#evaluation.onDay?.(day);
    }
  }

  /** Days of the block, and those before that are not kept or were counted by other codes. */
  async #count(): Promise<void> {
    const { definition, from, to, isAnew = false } = this.#evaluation;
    const { door, zone } = this.#site;
    const first = plusDays(from, 1 - reachOf(definition.detection));
    const oldest = earliest(first, plusDays(from, -definition.quietDays));
    const kept = await keptDays(definition, oldest, to, door.context);
    for (const [day, entry] of kept) {
      this.#held.set(day, entry);
      this.#days.set(day, entry.day);
    }
    const isOld = (day: Day): boolean => isAnew || day >= from || kept.get(day)?.day.by !== definition.countsBy;
    const fresh = daysFrom(first, to).filter(isOld);
    const cases = await casesOf(definition, fresh[0] ?? from, to, door, zone);
    this.#cases = Map.groupBy(cases, ({ day }) => day);
    const before: Command[] = [];
    for (const day of fresh) {
      const counted = await this.#counted(day);
      this.#days.set(day, counted);
      if (day < from) before.push(this.#keep(day, counted));
    }
    if (before.length > 0) await this.#commit(before);
  }

  async #counted(day: Day): Promise<KeptDay> {
    const { definition } = this.#evaluation;
    const cases = this.#cases.get(day) ?? [];
    const counts: Record<Unit, number> = {};
    for (const { unit } of cases) if (unit !== undefined) counts[unit] = (counts[unit] ?? 0) + 1;
    const { raised = {} } = this.#held.get(day)?.day ?? {};
    return {
      by: definition.countsBy,
      counts,
      elsewhere: cases.filter(({ unit }) => unit === undefined).length,
      isMissing: cases.length === 0 && !(await this.#isAnythingRecorded(day)),
      raised,
    };
  }

  /** A day on which nothing of the sources' types is dated, whatever its codes, is one without data, not one without cases. */
  async #isAnythingRecorded(day: Day): Promise<boolean> {
    const { door, zone } = this.#site;
    const low = instantText(startOf(day, zone));
    const high = instantText(startOf(plusDays(day, 1), zone));
    for (const type of new Set(this.#evaluation.definition.sources.map((source) => source.type))) {
      for (const query of instantQueries(type, low, high)) if (await door.isAny(type, query)) return true;
    }
    return false;
  }

  async #judge(day: Day): Promise<void> {
    const { definition, also } = this.#evaluation;
    const { door, zone } = this.#site;
    const isPartial = day >= dayOf(door.context.ambient.now(), zone);
    const counted = this.#days.get(day);
    if (counted === undefined) throw new TypeError(`${day} was not counted.`);
    const units = this.#unitsNear(day);
    const signals = units.flatMap((unit) => this.#signal(day, unit));
    const numbers = new Map(units.map((unit) => [unit, counted.counts[unit] ?? 0]));
    const report = measureReport(definition, { day, isPartial, units: numbers, elsewhere: counted.elsewhere });
    await door.put('MeasureReport', reportId(definition, day), () => report);
    for (const signal of signals) {
      const issue = detectedIssue(definition, day, signal);
      await door.put('DetectedIssue', issueId(definition, day, signal.unit), (held) =>
        issueUpon(held, issue, isPartial),
      );
    }
    const raised = Object.fromEntries(
      signals.map(({ unit, judgements }) => [unit, judgements.map(({ algorithm }) => algorithm)]),
    );
    for (const unit of Object.keys(counted.raised).filter((each) => raised[each] === undefined)) {
      await door.put('DetectedIssue', issueId(definition, day, unit), issueWithdrawn);
    }
    const judged = { ...counted, raised, by: isPartial ? '' : definition.countsBy };
    this.#days.set(day, judged);
    await this.#commit([this.#keep(day, judged), ...((await also?.(day)) ?? [])]);
  }

  /** Units with a case in the days that are looked at. */
  #unitsNear(day: Day): readonly Unit[] {
    const near = this.#near(day);
    return [...new Set(near.flatMap((each) => Object.keys(this.#days.get(each)?.counts ?? {})))].toSorted();
  }

  #near(day: Day): readonly Day[] {
    return daysFrom(plusDays(day, 1 - reachOf(this.#evaluation.definition.detection)), day);
  }

  /** None while the unit is quiet: it had a signal in the days before. */
  #signal(day: Day, unit: Unit): readonly Signal[] {
    const { detection, minimumCount, quietDays } = this.#evaluation.definition;
    const count = this.#days.get(day)?.counts[unit] ?? 0;
    if (count < minimumCount) return [];
    const quiet = daysFrom(plusDays(day, -quietDays), plusDays(day, -1));
    if (quiet.some((each) => this.#days.get(each)?.raised[unit] !== undefined)) return [];
    const counts = this.#near(day).map((each) => {
      const kept = this.#days.get(each);
      return kept === undefined || kept.isMissing ? undefined : (kept.counts[unit] ?? 0);
    });
    const judgements: readonly Judgement[] = judge(counts, detection).filter(({ isSignal }) => isSignal);
    if (judgements.length === 0) return [];
    const cases = (this.#cases.get(day) ?? []).filter((each) => each.unit === unit).map(({ reference }) => reference);
    return [{ unit, count, judgements, cases }];
  }

  #keep(day: Day, kept: KeptDay): Command {
    const { definition } = this.#evaluation;
    const now = this.#site.door.context.ambient.now();
    const command = keepDay(definition, day, kept, this.#held.get(day), now);
    this.#held.set(day, { text: JSON.stringify(kept), day: kept });
    return command;
  }

  async #commit(commands: readonly Command[]): Promise<void> {
    const result = await this.#site.door.context.store.commit({ commands, audit: [] });
    if (!result.ok) throw new Overtaken('Another run judged this day at the same time.');
  }
}
