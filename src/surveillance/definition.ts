/** Definitions of surveillance: files of surveillance/, checked by its schema and by what a schema cannot say. Described in docs/surveillance.md. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import type { Detection } from './aberration.ts';

/** Exactly one of the two. */
export interface CodeSet {
  /** System -> codes. */
  readonly codes?: Readonly<Record<string, readonly string[]>>;
  /** Canonical of a ValueSet. */
  readonly valueSet?: string;
}
export interface SourceSpec {
  readonly type: SourceType;
  /** The diagnosis, or the test. */
  readonly code?: CodeSet;
  /** What was found. */
  readonly value?: CodeSet;
}
export type SourceType = 'Condition' | 'Observation' | 'DiagnosticReport';
/** Location.physicalType that is counted by, or Encounter.serviceProvider. */
export type Level = 'si' | 'bu' | 'wi' | 'wa' | 'lvl' | 'ro' | 'provider';

export interface DefinitionFile {
  readonly id: string;
  readonly version: string;
  readonly title: string;
  readonly basis: string;
  readonly severity: 'high' | 'moderate' | 'low';
  readonly level: Level;
  /** A case of a person who has another case in so many days before is not counted. */
  readonly episodeDays: number;
  readonly quietDays: number;
  readonly minimumCount: number;
  /** A signal of fewer cases refers to none of them. */
  readonly smallCell: number;
  readonly sources: readonly SourceSpec[];
  readonly detection: Detection;
}
export interface Definition extends DefinitionFile {
  /** Of what counts depend on: sources, level, episode. Counts kept by another are made again. */
  readonly countsBy: string;
}

/** Definitions by id. @throws Error naming every file that is wrong, and why */
export function loadSurveillance(folder: string): ReadonlyMap<string, Definition> {
  const schema: object = JSON.parse(readFileSync(join(folder, 'schema.json'), 'utf8'));
  const isValid = new Ajv({ allErrors: true, strict: true, strictRequired: false }).compile<DefinitionFile>(schema);
  const problems: string[] = [];
  const found = new Map<string, Definition>();
  const names = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'schema.json');
  for (const name of names.toSorted()) {
    const file = parsed(join(folder, name));
    if (!isValid(file)) {
      const faults = (isValid.errors ?? []).slice(0, 3).map((each) => `${each.instancePath || '/'} ${each.message}`);
      problems.push(`${name}: ${faults.join('; ')}.`);
      continue;
    }
    problems.push(...faultsOf(file, name).map((fault) => `${name}: ${fault}`));
    found.set(file.id, { ...file, countsBy: hashOf(file) });
  }
  if (problems.length > 0) throw new Error(`surveillance: ${problems.join(' ')}`);
  return found;
}

function parsed(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    // The schema refuses it by name, like anything else that is no definition.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function faultsOf({ id, detection }: DefinitionFile, name: string): readonly string[] {
  const { minimumDays, baselineDays, cusum, thresholds } = detection;
  const rules: readonly (readonly [broken: boolean, fault: string])[] = [
    [name !== `${id}.json`, `its id is ${id}.`],
    [minimumDays > baselineDays, 'detection.minimumDays is above baselineDays, so nothing is ever judged.'],
    [minimumDays > (cusum?.baselineDays ?? minimumDays), 'detection.minimumDays is above cusum.baselineDays.'],
    [cusum === undefined && Object.keys(thresholds).length === 0, 'detection names no algorithm.'],
  ];
  return rules.flatMap(([broken, fault]) => (broken ? [fault] : []));
}

function hashOf({ id, level, episodeDays, sources }: DefinitionFile): string {
  return createHash('sha256').update(JSON.stringify({ id, level, episodeDays, sources })).digest('hex').slice(0, 16);
}
