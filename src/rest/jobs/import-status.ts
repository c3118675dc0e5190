/** The answer of a complete import: what was taken of each input, and where the refused lines are told. Source: bulk import proposal, status. */
import { instantText } from '../../fhir/time.ts';
import type { ImportOrder, ImportResult } from './import.ts';
import type { JobKind } from './status.ts';

export const IMPORT_KIND: JobKind<ImportOrder, ImportResult> = {
  operation: 'import',
  noun: 'import',
  manifest: ({ transactionTime, request, inputs, caller }, { error, counts }, listed) => ({
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      transactionTime: instantText(transactionTime),
      request,
      requiresAccessToken: caller.rights.kind !== 'everything',
      output: inputs.map(({ type, url }, index) => ({
        ...(type === undefined ? {} : { type }),
        ...(url === undefined ? {} : { inputUrl: url }),
        count: counts[index]?.imported ?? 0,
        refused: counts[index]?.refused ?? 0,
      })),
      error: error.map(listed),
    }),
  }),
};
