/**
 * Patient/[id]/$record: what `$everything` gives in pages, in one Bundle of type collection, for the person to take along. Source: GDPR Art. 20;
 * FHIR R4 bundle.html; docs/privacy.md#portability. On the thread for large requests: it joins the texts of a whole record.
 */
import { fhirError } from '../../fhir/outcome.ts';
import { label } from '../../fhir/resource.ts';
import type { StoredVersion } from '../../store/port.ts';
import type { Caller, Performed, RestContext } from '../context.ts';
import { bundleText, collectionEntry } from '../wire/bundle-text.ts';
import { urlOf } from '../wire/links.ts';
import { everythingPage } from './everything.ts';
import type { Operation, OperationCall } from './operation.ts';
import { answered } from './output.ts';

/** Characters; what is larger is a file. */
const MOST_TEXT = 64_000_000;

export const RECORD: Operation = {
  levels: ['instance'],
  takes: ['start', 'end', '_since', '_type'],
  heavy: true,
  long: true,
  perform: (call, caller, context) => performed(call, caller, context),
};

/** @throws FhirError `too-costly` (400) for a record that this server would not take in one Bundle either */
async function performed(call: OperationCall, caller: Caller, context: RestContext): Promise<Performed> {
  const { settings, ambient } = context;
  const held = new Map<string, StoredVersion>();
  const patients = new Set<string>();
  let size = 0;
  let cursor: string | undefined;
  do {
    const page = await everythingPage({ ...call, cursor }, caller, context);
    for (const version of [...page.matches, ...page.added]) {
      if (held.has(label(version.key))) continue;
      held.set(label(version.key), version);
      size += version.text?.length ?? 0;
    }
    for (const { patients: of } of [page.owner, ...page.matches, ...page.added]) for (const id of of) patients.add(id);
    if (held.size > settings.bundleEntryLimit || size > MOST_TEXT) {
      throw fhirError('too-costly', 'The record is too large for one Bundle: ask for it by `Patient/[id]/$export`.');
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  const entries = [...held.values()].map(({ key, text = 'null' }) =>
    collectionEntry(urlOf(settings.fhirBase, key), text),
  );
  const bundle = { id: ambient.newId(), at: ambient.now(), type: 'collection', total: undefined, links: [] } as const;
  return answered(call, bundleText({ ...bundle, entries }), [...patients], context);
}
