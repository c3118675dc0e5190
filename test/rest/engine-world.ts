/** The door over the real engine and the real audit, filled with resources in the order given, one commit each. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditRow, postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse, WireRequest } from '../../src/rest/request.ts';
import type { Engine } from '../../src/store/engine.ts';
import { openTestStore, type TestStoreOptions } from '../test-store.ts';
import { BASE, type Sent, world } from '../world.ts';

export interface EngineWorld {
  readonly store: Engine;
  readonly context: RestContext;
  send(method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  wire(method: string, url: string, sent?: Sent): WireRequest;
  sendAs(caller: Caller, method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  /** Ends the store and removes its folder; nothing may have been reported. */
  close(): Promise<void>;
}

/**
 * @param resources each with its id; put one after the other
 * @param at ms since 1970 of everything that happens; default: the world's own start, and the real clock for commits
 * @param open the engine; default: the one of this run
 */
export async function engineWorld(
  resources: readonly { readonly resourceType: string; readonly id: string; readonly [element: string]: unknown }[],
  at?: number,
  open: (options: TestStoreOptions) => Promise<Engine> = openTestStore,
): Promise<EngineWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'engine-'));
  const {
    context: outline,
    wire,
    reported,
  } = world(at === undefined ? {} : { start: at, settings: { maxCount: 1000 } });
  const types = [...outline.capability.types.keys()];
  const clock = at === undefined ? {} : { clock: { fixed: at } };
  const options = { folder, renderAudit: renderAuditEvent, indexHash: 'test', types, budgetMs: 5000, ...clock };
  const store = await open(options);
  const close = async (): Promise<void> => {
    await store.close();
    rmSync(folder, { recursive: true });
    assert.deepEqual(reported, []);
  };
  const subjectKeys = (patients: readonly string[]) => store.subjectKeys(patients);
  const source = { observer: BASE, address: '127.0.0.1' };
  const { indexEntries } = outline;
  const context = {
    ...outline,
    store,
    audit: (access: Parameters<typeof outline.audit>[0]) => auditRow(access, subjectKeys, 'salt', source, indexEntries),
    postedAudit: (...[resource]: Parameters<typeof outline.postedAudit>) =>
      postedAuditRow(resource, subjectKeys, 'salt', source, indexEntries),
  };
  const sendAs: EngineWorld['sendAs'] = (caller, method, url, sent) => answer(wire(method, url, sent), caller, context);
  const local = localCaller(localFacts('request-1', '127.0.0.1'));
  const send: EngineWorld['send'] = (method, url, sent) => sendAs(local, method, url, sent);
  for (const body of resources) {
    const { status, body: text } = await send('PUT', `/${body.resourceType}/${body.id}`, { body });
    assert.equal(status, 201, text);
  }
  return { store, context, wire, send, sendAs, close };
}
