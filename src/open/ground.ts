/** What every thread and command reads from files before a store is opened: definitions, claims, what resources are found by. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { renderAuditEvent } from '../audit.ts';
import type { Config } from '../config.ts';
import { patientsOf } from '../fhir/compartment.ts';
import { type Capability, loadCapability } from '../fhir/definitions/capability.ts';
import type { Definitions } from '../fhir/definitions/definitions.ts';
import { loadDefinitions } from '../fhir/definitions/load.ts';
import { parseJson, type Resource } from '../fhir/resource.ts';
import type { IndexEntry } from '../fhir/search/algebra.ts';
import { extractor, ROWS_FORM } from '../fhir/search/extract.ts';
import { FOLDERS } from '../folders.ts';
import type { Ambient } from '../rest/context.ts';
import type { IndexOf } from '../store/engine.ts';
import type { StoreParts } from './store.ts';

/** What a thread reads from files before it opens the store. Immutable. */
export interface Ground {
  readonly definitions: Definitions;
  readonly capability: Capability;
  readonly ambient: Ambient;
  readonly fhirBase: string;
  indexEntries(resource: Resource): readonly IndexEntry[];
}

/** Base of every link the server mints: PUBLIC_URL, or where it listens. */
export function publicUrl({ PUBLIC_URL, HOST, PORT }: Config): string {
  const host = HOST.includes(':') && !HOST.startsWith('[') ? `[${HOST}]` : HOST;
  return (PUBLIC_URL ?? `http://${host}:${PORT}`).replace(/\/+$/, '');
}

export function layGround(config: Config, ambient: Ambient): Ground {
  const definitions = loadDefinitions(FOLDERS.definitions);
  const capability = loadCapability(readFileSync(FOLDERS.capability, 'utf8'), definitions);
  const fhirBase = `${publicUrl(config)}/fhir`;
  const extractors = new Map<string, (resource: Resource) => readonly IndexEntry[]>();
  const indexEntries = (resource: Resource): readonly IndexEntry[] => {
    const type = resource.resourceType;
    let extract = extractors.get(type);
    if (extract === undefined) {
      const claimed = (of: string) => capability.types.get(of)?.searchParameters.values();
      extract = extractor(claimed(type) ?? [], type, { definitions, fhirBase, common: capability.common, claimed });
      extractors.set(type, extract);
    }
    return extract(resource);
  };
  return { definitions, capability, ambient, fhirBase, indexEntries };
}

/** What an engine is opened with. */
export function storeParts({ definitions, capability }: Ground): StoreParts {
  return {
    renderAudit: renderAuditEvent,
    indexHash: createHash('sha256')
      .update(`${ROWS_FORM}${definitions.hash}`)
      .update(capability.statement)
      .digest('hex'),
    types: [...definitions.resourceTypes].toSorted(),
  };
}

/** By the files alone: rows of search parameters that clients define are made by the server. */
export function indexOf({ definitions, fhirBase, indexEntries }: Ground): IndexOf {
  const patients = patientsOf(definitions, { fhirBase });
  return (text) => {
    const resource = parseJson(text) as Resource;
    return { entries: indexEntries(resource), patients: patients(resource) };
  };
}
