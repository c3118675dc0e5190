/** The manifest of a complete export. Source: FHIR Bulk Data Access 2.0.0, status request. */
import { instantText } from '../../fhir/time.ts';
import type { ExportOrder } from './export.ts';
import type { JobResult } from './job.ts';
import type { JobKind } from './status.ts';

export const EXPORT_KIND: JobKind<ExportOrder, JobResult> = {
  operation: 'export',
  noun: 'export',
  manifest: ({ transactionTime, request, caller, deidentify }, { output, error }, listed) => ({
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      transactionTime: instantText(transactionTime),
      request,
      requiresAccessToken: caller.rights.kind !== 'everything',
      output: output.map(listed),
      error: error.map(listed),
      ...(deidentify === undefined ? {} : { extension: { deidentification: deidentify } }),
    }),
  }),
};
