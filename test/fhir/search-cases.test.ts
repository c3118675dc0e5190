// Case tables of FHIR R4 search.html, one file for each anchor: cases/search-*.json. A row: query, ids found, why.
// `type` defaults to the type of the first resource. Failures of a table are collected and shown together.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FhirError } from '../../src/fhir/outcome.ts';
import { parseJson, type Resource } from '../../src/fhir/resource.ts';
import { found, indexed, planned } from './search-world.ts';

interface Table {
  readonly anchor: string;
  readonly resources: readonly Resource[];
  readonly rows: readonly (readonly [query: string, ids: readonly string[], why: string])[];
  readonly refused?: readonly (readonly [query: string, kind: string, why: string])[];
}

const folder = new URL('cases/', import.meta.url);

/** `Patient?name=x`, or `name=x` for the table's own type. */
function asked(text: string, type: string): [type: string, query: string] {
  const typed = /^([A-Z][A-Za-z]+)\?(.*)$/s.exec(text);
  return typed === null ? [type, text] : [typed[1] ?? '', typed[2] ?? ''];
}

function refusal(type: string, query: string): string {
  try {
    planned(type, query);
    return 'accepted';
  } catch (error) {
    if (error instanceof FhirError) return error.kind;
    throw error;
  }
}

for (const name of readdirSync(folder).filter((each) => /^search.*\.json$/.test(each))) {
  const text = readFileSync(new URL(name, folder), 'utf8');
  const table: Table = JSON.parse(text);
  // Numbers keep their lexeme, as in the server.
  const lossless = parseJson(text) as unknown as Table;
  const world = lossless.resources.map((resource) => indexed(resource));
  const type = table.resources[0]?.resourceType ?? '';

  test(`fhir-r4@${table.anchor} ${name}: ${table.rows.length} searches find what they say`, () => {
    const wrong = table.rows.flatMap(([text, ids, why]) => {
      const actual = found(world, ...asked(text, type)).join(' ');
      const expected = ids.toSorted().join(' ');
      return actual === expected ? [] : [`${text} found [${actual}], not [${expected}]: ${why}`];
    });
    assert.equal(wrong.join('\n'), '');
  });

  test(`fhir-r4@${table.anchor} ${name}: ${table.refused?.length ?? 0} searches are refused`, () => {
    const wrong = (table.refused ?? []).flatMap(([text, kind, why]) => {
      const actual = refusal(...asked(text, type));
      return actual === kind ? [] : [`${text}: ${actual}, not ${kind}: ${why}`];
    });
    assert.equal(wrong.join('\n'), '');
  });
}
