/** What a purge is to the API: the order, and the answer when it is complete. Source: FHIR R6 ballot patient-operation-purge.html; docs/privacy.md. */

import { respond } from '../wire/represent.ts';
import type { Job, JobDesk, JobOrder, JobResult } from './job.ts';
import type { JobKind } from './status.ts';

export interface PurgeOrder extends JobOrder {
  /** Ids of the records of one person. */
  readonly patients: readonly string[];
  /** Ordered by the register of erasures, after an older backup was restored: it was judged before, so no hold is asked for. */
  readonly isRepeated: boolean;
}
export type PurgeJob = Job<PurgeOrder>;

export interface Purged {
  readonly resources: number;
  readonly versions: number;
  /** `Type/id` of what is about other patients too, and stays. */
  readonly shared: readonly string[];
}
export interface PurgeResult extends JobResult {
  /** undefined: a legal hold came in between, and nothing was removed. */
  readonly purged: Purged | undefined;
}
export type PurgeDesk = JobDesk<PurgeOrder, PurgeResult>;

/** Most shared resources that an answer names. */
const MOST_NAMED = 100;

export const HELD = 'The patient is under legal hold: nothing is removed while a current List holds the record.';

export const PURGE_KIND: JobKind<PurgeOrder, PurgeResult> = {
  operation: 'purge',
  noun: 'purge',
  manifest: (_job, { purged }) => {
    const issue = purged === undefined ? [issueOf('error', 'business-rule', HELD)] : issuesOf(purged);
    const text = JSON.stringify({ resourceType: 'OperationOutcome', issue });
    return respond(purged === undefined ? 422 : 200, text, false);
  },
};

const issueOf = (severity: string, code: string, diagnostics: string) => ({ severity, code, diagnostics });

function issuesOf({ resources, versions, shared }: Purged) {
  const done = `Removed for good: ${resources} resources with all their versions, and ${versions} versions of others.`;
  const stays = shared.slice(0, MOST_NAMED).map((name) => `\`${name}\``);
  const more = shared.length > MOST_NAMED ? ` and ${shared.length - MOST_NAMED} more` : '';
  return [
    issueOf('information', 'informational', done),
    ...(shared.length === 0
      ? []
      : [issueOf('warning', 'incomplete', `About other patients too, so it stays: ${stays.join(', ')}${more}.`)]),
  ];
}
