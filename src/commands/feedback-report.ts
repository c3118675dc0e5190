/** `firewatch feedback-report`: what became of every client's cards, page after page, for who runs the server. */
import { type ReportQuery, rendered, reportQuery } from '../cds/feedback/report.ts';
import { type ReportGroup, tally, together } from '../cds/feedback/tally.ts';
import { localCaller, localFacts } from '../rest/permission/caller.ts';
import type { System } from '../system.ts';

export interface ReportOptions {
  readonly from?: string;
  readonly to?: string;
  readonly format: string;
}

/**
 * Writes the report; the counts of `json` are over the whole period, rows are written as they are read.
 * @throws FhirError when an option is wrong
 */
export async function feedbackReport(
  { cds, ambient }: Pick<System, 'cds' | 'ambient'>,
  options: ReportOptions,
  write: (text: string) => void,
): Promise<void> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const first = reportQuery(new URLSearchParams(Object.fromEntries(given)), ambient.now());
  const caller = localCaller(localFacts(ambient.newId(), '127.0.0.1'));
  let counted: readonly ReportGroup[] = [];
  let query: ReportQuery | undefined = first;
  while (query !== undefined) {
    const page = await cds.reportPage(query, caller);
    if (first.format === 'json') counted = together(counted, tally(page.cards));
    else write(rendered(query, page, undefined));
    query = page.after === undefined ? undefined : { ...query, after: page.after };
  }
  const period = { from: new Date(first.from).toISOString(), to: new Date(first.to).toISOString() };
  if (first.format === 'json') write(`${JSON.stringify({ ...period, complete: true, groups: counted })}\n`);
}
