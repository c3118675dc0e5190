/** Entities of AuditEvents: who and what was accessed. Source: IHE BALP entity slices; hook calls are our own pattern, docs/audit.md#hook-calls. */
import type { AuditEventEntity, AuditEventEntityDetail, Reference } from 'fhir/r4.d.ts';
import type { StoredAuditRow } from '../audit.ts';
import { DATA_ABSENT_REASON, ENTITY_ROLES, ENTITY_TYPES, MODEL_SYSTEM, SUBJECT_SYSTEM, URI_SYSTEM } from './codes.ts';
import { type Form1, type Form1Entry, type Form1Erasable, type Form1Hook, ownSubject, referenceTo } from './form.ts';

/** What entities are made of besides their own part of the row. */
export interface EntityContext {
  readonly row: Form1;
  readonly erasable: Form1Erasable | undefined;
  readonly patientOf: StoredAuditRow['patientOf'];
}

/** X-Request-Id, which all events of one request share. */
export function requestIdEntity(row: Form1): AuditEventEntity {
  return { what: { identifier: { value: row.x } }, type: ENTITY_TYPES.requestId };
}

export function patientEntity(subject: number, context: EntityContext): AuditEventEntity {
  return { what: patientReference(subject, '', context), type: ENTITY_TYPES.person, role: ENTITY_ROLES.patient };
}

/** The patient, or after an erasure only the pseudonym. */
function patientReference(subject: number, suffix: string, { row, patientOf }: EntityContext): Reference {
  const key = row.s[subject] ?? '';
  const patient = patientOf(key);
  if (patient !== undefined) return { reference: `Patient/${patient}${suffix}` };
  return { type: 'Patient', identifier: { system: SUBJECT_SYSTEM, value: key } };
}

/** Job, query and data of one entry, as far as it has them. */
export function entryEntities(entry: Form1Entry, index: number, context: EntityContext): AuditEventEntity[] {
  const entities: AuditEventEntity[] = [];
  if (entry.o !== undefined) {
    entities.push({ type: ENTITY_TYPES.object, role: ENTITY_ROLES.job, name: `$${entry.o}` });
  }
  if (entry.q !== undefined) entities.push(queryEntity(index, context));
  if (entry.r !== undefined) entities.push(dataEntity(entry.r, entry, context));
  return entities;
}

function dataEntity(resource: string, entry: Form1Entry, context: EntityContext): AuditEventEntity {
  const suffix = entry.v === undefined ? '' : `/_history/${entry.v}`;
  const subject = ownSubject(resource);
  const what =
    subject === undefined
      ? { reference: `${referenceTo(resource, entry, context.row)}${suffix}` }
      : patientReference(subject, suffix, context);
  return { what, type: ENTITY_TYPES.object, role: ENTITY_ROLES.resource };
}

/** The raw request in base64, and the names of its parameters; after an erasure neither. */
function queryEntity(index: number, { row, erasable }: EntityContext): AuditEventEntity {
  const position = row.e.slice(0, index).filter(({ q }) => q !== undefined).length;
  const raw = erasable?.q?.[position];
  const entity = { type: ENTITY_TYPES.object, role: ENTITY_ROLES.query };
  if (raw === undefined) {
    return { ...entity, _query: { extension: [{ url: DATA_ABSENT_REASON, valueCode: 'masked' }] } };
  }
  const names = parameterNames(raw);
  const query = Buffer.from(raw, 'utf8').toString('base64');
  return names.length === 0 ? { ...entity, query } : { ...entity, description: names.join(', '), query };
}

/** Names of the parameters of a raw request, URL or form body: no values. */
function parameterNames(raw: string): readonly string[] {
  const names = raw.matchAll(/(?:[?&]|\n)([A-Za-z_][A-Za-z0-9_.:-]{0,127})=/g);
  return [...new Set([...names].map(([, name]) => name ?? ''))];
}

/** What a hook call looked at and answered: never content, feature values, scores or card text. */
export function hookEntities(hook: Form1Hook, context: EntityContext): AuditEventEntity[] {
  const entities: AuditEventEntity[] = [];
  if (hook.patient !== undefined) entities.push(patientEntity(hook.patient, context));
  entities.push(requestIdEntity(context.row));
  if (hook.instance !== undefined)
    entities.push({ what: uuid(hook.instance), type: ENTITY_TYPES.other, name: 'hookInstance' });
  entities.push(serviceEntity(hook));
  for (const draft of hook.drafts) {
    entities.push({ what: { reference: draft }, type: ENTITY_TYPES.object, role: ENTITY_ROLES.resource });
  }
  const { model, models = model === undefined ? [] : [model] } = hook;
  entities.push(...models.map(modelEntity));
  for (const [id = '', indicator = '', topic = ''] of hook.cards) {
    const detail = [
      { type: 'indicator', valueString: indicator },
      { type: 'topic', valueString: topic },
    ].filter(({ valueString }) => valueString !== '');
    entities.push({ what: uuid(id), type: ENTITY_TYPES.object, role: ENTITY_ROLES.report, ...details(detail) });
  }
  return entities;
}

function serviceEntity({ service, given, fetched, missing }: Form1Hook): AuditEventEntity {
  const detail = Object.entries({ given, fetched, missing })
    .filter(([, keys]) => keys.length > 0)
    .map(([state, keys]) => ({ type: `prefetch-${state}`, valueString: keys.join(', ') }));
  return { type: ENTITY_TYPES.object, role: ENTITY_ROLES.job, name: service, ...details(detail) };
}

function modelEntity([id = '', version = '', sha256 = '']: readonly string[]): AuditEventEntity {
  return {
    what: { identifier: { system: MODEL_SYSTEM, value: `${id}|${version}` } },
    type: ENTITY_TYPES.other,
    name: id,
    detail: [
      { type: 'version', valueString: version },
      { type: 'sha256', valueString: sha256 },
    ],
  };
}

const details = (detail: AuditEventEntityDetail[]): { detail?: AuditEventEntityDetail[] } =>
  detail.length === 0 ? {} : { detail };
const uuid = (id: string): Reference => ({ identifier: { system: URI_SYSTEM, value: `urn:uuid:${id}` } });
