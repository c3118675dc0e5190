/** The order of severities. */
import type { Severity } from './finding.ts';

const SEVERITIES = ['contraindicated', 'major', 'moderate', 'low'] as const satisfies readonly Severity[];

/** 0 = contraindicated, 3 = low. */
export const severityRank = (severity: Severity): number => SEVERITIES.indexOf(severity);

/** One step less severe; low stays low. */
export const lower = (severity: Severity): Severity => SEVERITIES[severityRank(severity) + 1] ?? 'low';
