/** The tables of the models folder that features share: vocabulary, units, complaints, concepts. */

import type { Knowledge } from './features/pick.ts';
import { readChecked, type Schemas } from './manifest.ts';
import { type ComplaintTable, complaintProblems } from './triage/complaint-table.ts';

function readComplaints(folder: string, schemas: Schemas): ComplaintTable {
  const table = readChecked(folder, 'complaints.json', schemas.complaints);
  const problems = complaintProblems(table);
  if (problems.length > 0) throw new Error(`complaints.json: ${problems.join('; ')}`);
  return table;
}

/** @throws Error when a table is missing or malformed */
export const loadKnowledge = (folder: string, schemas: Schemas): Knowledge => ({
  vocabulary: readChecked(folder, 'vocabulary.json', schemas.vocabulary),
  units: readChecked(folder, 'units.json', schemas.units),
  complaints: readComplaints(folder, schemas),
  concepts: readChecked(folder, 'concepts.json', schemas.concepts).concepts,
});
