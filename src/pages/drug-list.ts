/** The drugs that the sandbox can order: names of pages/sandbox-drugs.json with their RxNorm codes from knowledge/ingredients.tsv.gz. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { isJsonObject } from '../fhir/resource.ts';

export interface OrderableDrug {
  readonly name: string;
  /** RxCUI of the ingredient. */
  readonly rxcui: string;
  /** As an order would be worded. */
  readonly text: string;
}

/** @throws Error naming a drug that the tables do not hold */
export function readDrugList(pages: string, knowledge: string): readonly OrderableDrug[] {
  const file: unknown = JSON.parse(readFileSync(join(pages, 'sandbox-drugs.json'), 'utf8'));
  const listed = isJsonObject(file) && Array.isArray(file.drugs) ? file.drugs.filter(isJsonObject) : [];
  const lines = gunzipSync(readFileSync(join(knowledge, 'ingredients.tsv.gz')))
    .toString('utf8')
    .split('\n');
  const codes = new Map(
    lines.map((line) => {
      const [id = '', name = ''] = line.split('\t');
      return [name, id];
    }),
  );
  return listed.map(({ name, text }) => {
    const rxcui = codes.get(String(name));
    if (rxcui === undefined)
      throw new Error(`pages/sandbox-drugs.json names ${String(name)}, which knowledge/ does not hold`);
    return { name: String(name), rxcui, text: String(text) };
  });
}
