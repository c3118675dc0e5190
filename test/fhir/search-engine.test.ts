// The reference engine answers every row of cases/search-*.json as the tables say: parse, plan, index and SQL together.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseJson, type Resource } from '../../src/fhir/resource.ts';
import type { Command } from '../../src/store/port.ts';
import { openTestStore } from '../test-store.ts';
import { definitions, entriesOf, NOW, planned } from './search-world.ts';

interface Table {
  readonly resources: readonly Resource[];
  readonly rows: readonly (readonly [query: string, ids: readonly string[], why: string])[];
}
const cases = new URL('cases/', import.meta.url);

const put = (resource: Resource): Command => ({
  op: 'put',
  key: { type: resource.resourceType, id: resource.id ?? '' },
  version: 1,
  method: 'PUT',
  body: { head: '{"at":"', tail: '"}' },
  entries: entriesOf(resource),
  patients: [],
});

for (const name of readdirSync(cases).filter((each) => /^search.*\.json$/.test(each))) {
  test(`${name} on SQLite`, async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'firewatch-search-'));
    const store = await openTestStore({
      folder,
      budgetMs: 10_000,
      renderAudit: () => {
        throw new TypeError('no audit here');
      },
      indexHash: definitions.hash,
      types: [...definitions.resourceTypes],
      clock: { fixed: NOW },
    });
    context.after(async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    });
    const { resources, rows } = parseJson(readFileSync(new URL(name, cases), 'utf8')) as unknown as Table;
    assert.ok((await store.commit({ commands: resources.map(put), audit: [] })).ok);
    const wrong: string[] = [];
    for (const [text, ids, why] of rows) {
      const typed = /^([A-Z][A-Za-z]+)\?(.*)$/s.exec(text);
      const plan = planned(typed?.[1] ?? resources[0]?.resourceType ?? '', typed?.[2] ?? text);
      const { matches } = await store.search(plan, { count: 1000 });
      const actual = matches.map(({ key }) => key.id).toSorted();
      if (actual.join(' ') !== ids.toSorted().join(' ')) wrong.push(`${text} found [${actual.join(' ')}]: ${why}`);
      const counted = await store.count(plan);
      if (counted !== actual.length) wrong.push(`${text} counts ${counted}`);
    }
    assert.equal(wrong.join('\n'), '');
  });
}
