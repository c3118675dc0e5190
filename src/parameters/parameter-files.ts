/** SearchParameters that the operator lays into a folder while the server runs: read again whenever the folder changes. */
import { existsSync, watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Capability } from '../fhir/definitions/capability.ts';
import { activeParameter, type CustomParameter } from '../fhir/definitions/custom-parameter.ts';
import { isJsonObject, parseJson } from '../fhir/resource.ts';

/** Changes within this time are one: a file is seldom written at once. ms. */
const SETTLE_MS = 200;

export interface FileParameters {
  readonly parameters: readonly CustomParameter[];
  /** Files that hold no JSON: half-written ones are read again with the next change. */
  readonly unreadable: number;
}

/**
 * Active SearchParameters of `*.json` in a folder, by file name. Those that capability-statement.json claims are left out: they are published here,
 * and read at start only.
 */
export async function fileParameters(folder: string, { types }: Capability): Promise<FileParameters> {
  const names = existsSync(folder) ? (await readdir(folder)).filter((name) => name.endsWith('.json')).sort() : [];
  const parameters: CustomParameter[] = [];
  let unreadable = 0;
  for (const name of names) {
    const custom = await read(join(folder, name), `file-${name.slice(0, -5)}`);
    if (custom === 'unreadable') unreadable++;
    else if (custom !== undefined && !isClaimed(custom)) parameters.push(custom);
  }
  return { parameters, unreadable };

  function isClaimed({ base, code, url }: CustomParameter): boolean {
    return base.some((type) => types.get(type)?.searchParameters.get(code)?.url === url);
  }
}

async function read(path: string, id: string): Promise<CustomParameter | 'unreadable' | undefined> {
  try {
    const value = parseJson(await readFile(path, 'utf8'));
    if (!isJsonObject(value) || typeof value.resourceType !== 'string') return undefined;
    const custom = activeParameter({ ...value, resourceType: value.resourceType, id });
    return custom && { ...custom, isFile: true };
  } catch {
    return 'unreadable';
  }
}

/** Calls back after changes in the folder. Returns how to stop it. A folder that is not there is not followed. */
export function followFolder(folder: string, changed: () => void): () => void {
  if (!existsSync(folder)) return () => undefined;
  let timer: NodeJS.Timeout | undefined;
  const watcher = watch(folder, { persistent: false }, () => {
    clearTimeout(timer);
    timer = setTimeout(changed, SETTLE_MS).unref();
  });
  watcher.on('error', () => watcher.close());
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
