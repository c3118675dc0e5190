/** The real door over the real engine, for operations: search with every predicate, and what was given to the audit. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Access, auditRow, postedAuditRow, renderAuditEvent } from '../../src/audit.ts';
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../src/fhir/resource.ts';
import type { Predicate } from '../../src/fhir/search/algebra.ts';
import type { Caller, RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { openTestStore } from '../test-store.ts';
import { at, BASE, json, type Sent, world } from '../world.ts';

export interface OperationsWorld {
  readonly context: RestContext;
  readonly accesses: Access[];
  /** Faults that were reported to the log. */
  readonly reported: unknown[];
  send(method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  /** The same door for a caller who sees only what the predicate lets through. */
  sendAs(visible: (type: string) => Predicate, method: string, url: string, sent?: Sent): Promise<FhirResponse>;
  /** Stores resources by update; each must be accepted. */
  hold(...resources: readonly Resource[]): Promise<void>;
  close(): Promise<void>;
}

export async function operationsWorld(settings: Partial<RestContext['settings']> = {}): Promise<OperationsWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'operations-'));
  const { context: outline, wire, reported } = world({ settings: { maxCount: 1000, includeLimit: 1000, ...settings } });
  const types = [...outline.capability.types.keys()];
  const store = await openTestStore({
    folder,
    renderAudit: renderAuditEvent,
    indexHash: 'test',
    types,
    budgetMs: 5000,
  });
  const accesses: Access[] = [];
  const subjectKeys = (patients: readonly string[]) => store.subjectKeys(patients);
  const source = { observer: BASE, address: '127.0.0.1' };
  const context: RestContext = {
    ...outline,
    store,
    audit: (access) => {
      accesses.push(access);
      return auditRow(access, subjectKeys, 'salt', source, outline.indexEntries);
    },
    postedAudit: (resource) => postedAuditRow(resource, subjectKeys, 'salt', source, outline.indexEntries),
  };
  const local = localCaller(localFacts('request-1', '127.0.0.1'));
  const sendBy = (caller: Caller, method: string, url: string, sent?: Sent) =>
    answer(wire(method, url, sent), caller, context);
  return {
    context,
    accesses,
    reported,
    send: (method, url, sent) => sendBy(local, method, url, sent),
    sendAs: (visible, method, url, sent) =>
      sendBy({ ...local, access: { principal: 'narrow', visible } }, method, url, sent),
    hold: async (...resources) => {
      for (const resource of resources) {
        const { status, body } = await sendBy(local, 'PUT', `/${resource.resourceType}/${resource.id}`, {
          body: resource,
        });
        if (status !== 201 && status !== 200) throw new Error(`${resource.id}: ${status} ${body}`);
      }
    },
    close: async () => {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Parameters of `[name, value[x] or resource]` pairs: `parameters(['code', { valueCode: 'a' }])`. */
export function parameters(...list: readonly (readonly [name: string, content: object])[]): object {
  return { resourceType: 'Parameters', parameter: list.map(([name, content]) => ({ name, ...content })) };
}

/** Value of an output parameter, whatever its type; the first of that name. */
export function out(response: FhirResponse, name: string): Json | undefined {
  const list = json(response).parameter;
  const found = (Array.isArray(list) ? list : []).find((each) => at(each, 'name') === name);
  if (!isJsonObject(found)) return undefined;
  return Object.entries(found).find(([key]) => key.startsWith('value'))?.[1];
}

/** `severity code expression` of each issue. */
export function issuesIn(response: FhirResponse): readonly string[] {
  const issues = json(response).issue;
  return (Array.isArray(issues) ? issues : []).map((issue: JsonObject) =>
    [issue.severity, issue.code, at(issue, 'expression.0')].filter((part) => part !== undefined).join(' '),
  );
}
