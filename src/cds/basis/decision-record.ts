/**
 * What a card stood on, kept encrypted under the card's uuid: so that feedback finds its card, and a score can be explained and computed again.
 * Source: 45 CFR 170.315(b)(11) (feedback export, source attributes); docs/cds-hooks.md.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Assessment } from '../../risk/assessment.ts';
import type { Finding } from '../../risk/drugs/finding.ts';
import type { TriageAssessment } from '../../risk/triage/triage.ts';
import type { Command, Keyed, ResourceStore } from '../../store/port.ts';
import type { BasisHandles } from '../cards/basis-link.ts';
import type { Card, CardKind } from '../cards/card.ts';
import type { Service } from '../services/service.ts';

/** One card as it was judged; `shown` is false for what a service in shadow mode kept to itself. */
export interface RecordedCard {
  readonly uuid: string;
  readonly kind: CardKind;
  /** The fact it states: see `BuiltCard.key`. */
  readonly key: string;
  readonly shown: boolean;
  /** See `BuiltCard.further`. */
  readonly further?: readonly string[];
  readonly card: Pick<Card, 'indicator' | 'summary' | 'source'>;
  /** uuids as the client was sent them: what feedback accepts is one of these. */
  readonly suggestions: readonly string[];
  /** See `BuiltCard.overridable`. */
  readonly overridable?: string;
}

/** A finding as it was judged; records of earlier releases hold the required fields only. */
export type RecordedFinding = Pick<Finding, 'kind' | 'severity' | 'key' | 'rule'> & Partial<Finding>;
/** Triage as it was judged. */
export interface RecordedTriage extends Omit<TriageAssessment, 'edition' | 'facts'> {
  /** Absent in records of earlier releases. */
  readonly facts?: TriageAssessment['facts'];
  readonly edition: { readonly id: TriageAssessment['edition']['id']; readonly title: string };
  /** Of models/esi.json. */
  readonly version: string;
  /** Of the file; absent in records of earlier releases. */
  readonly sha256?: string;
}

/** One hook call that led to a card. */
export interface DecisionRecord {
  readonly form: 1;
  readonly id: string;
  /** ms since 1970. */
  readonly at: number;
  readonly service: string;
  readonly hook: string;
  readonly hookInstance: string;
  /** Name of the registered client. */
  readonly client: string;
  /** The client's FHIR base; undefined when it named none. */
  readonly fhirServer: string | undefined;
  /** The patient id is one of our own store. */
  readonly ownPatients: boolean;
  readonly user: string | undefined;
  readonly patient: string;
  readonly encounter: string | undefined;
  readonly drafts: readonly string[];
  /** Thresholds and models as the service file had them. */
  readonly engine: Service['engine'];
  readonly assessments: readonly Assessment[];
  readonly findings: readonly RecordedFinding[];
  readonly triage?: RecordedTriage | undefined;
  /** Prefetch keys that were not received. */
  readonly notReceived?: readonly string[];
  /** Version and hash of what answered first: a model, or the drug knowledge. */
  readonly model: { readonly id: string; readonly version: string; readonly sha256: string } | undefined;
  readonly cards: readonly RecordedCard[];
}

/** Encrypts small texts under a name that must be given again to read them. */
export interface Seal {
  seal(text: string, name: string): string;
  /** undefined when the key, the name or a bit is another. */
  open(sealed: string, name: string): string | undefined;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;
/** A record deflates to some kilobytes: one small chunk; a window of its length costs a third less to set up than zlib's own, at the same size. */
const QUICK = { level: 1, chunkSize: 4096, windowBits: 13, memLevel: 6 } as const;

/** AES-256-GCM over deflated text; a fresh nonce each. @param secret at least 16 bytes */
export function aesSeal(secret: Uint8Array): Seal {
  const key = createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', 'firewatch decision record', 32)));
  return {
    seal: (text, name) => {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(name));
      const body = Buffer.concat([cipher.update(deflateRawSync(text, QUICK)), cipher.final()]);
      return Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64');
    },
    open: (sealed, name) => {
      const bytes = Buffer.from(sealed, 'base64');
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
          .setAAD(Buffer.from(name))
          .setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
        const body = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES));
        return inflateRawSync(Buffer.concat([body, decipher.final()])).toString('utf8');
      } catch {
        return undefined; // what cannot be opened is as if it were not there: the key is another
      }
    },
  };
}

const CARDS = 'cds.card';
/** Uuids follow from hookInstance, service and fact: two clients may have the same one. */
const cardKey = (client: string, uuid: string): string => `${client} ${uuid.toLowerCase()}`;
const CALLS = 'cds.call';
/** Digest of a handle -> record and card. */
const BASES = 'cds.basis';

/** Where records are, and what leads to them. */
export const DECISION_SPACES = { calls: CALLS, cards: CARDS, bases: BASES };

/** Id of the patient of this server that a kept record is about; undefined for another server's, and for what cannot be opened. */
export function ownPatientOf({ key, value }: Keyed, seal: Seal): string | undefined {
  const record = decoded(seal.open(value, key));
  return record?.ownPatients ? record.patient.replace(/^Patient\//, '') : undefined;
}

/** How long a record is kept and how long its pages can be opened, ms since 1970, and what makes their handles. */
export interface Keeping {
  readonly seal: Seal;
  readonly expiresAt: number;
  readonly handles: BasisHandles;
  readonly basisExpiresAt: number;
}

/** What must be committed with the call's AuditEvent; nothing when it led to no card. NaN of a vector is kept as null. */
export function decisionCommands(record: DecisionRecord, keeping: Keeping): readonly Command[] {
  if (record.cards.length === 0) return [];
  const { seal, expiresAt, handles } = keeping;
  const value = seal.seal(JSON.stringify(record), record.id);
  const basisExpiresAt = Math.min(keeping.basisExpiresAt, expiresAt);
  return [
    { op: 'set', space: CALLS, key: record.id, value, expiresAt },
    ...record.cards.map(
      ({ uuid }): Command => ({
        op: 'set',
        space: CARDS,
        key: cardKey(record.client, uuid),
        value: record.id,
        expiresAt,
      }),
    ),
    ...record.cards.flatMap(({ uuid, shown }): readonly Command[] => {
      const key = handles.keyOf(handles.of(record.id, uuid));
      if (key === undefined || !shown) return [];
      return [{ op: 'set', space: BASES, key, value: `${record.id} ${uuid}`, expiresAt: basisExpiresAt }];
    }),
  ];
}

/** The record and card behind a handle; undefined when it is unknown or has expired, alike. */
export async function decisionBehind(
  store: Pick<ResourceStore, 'keyed'>,
  seal: Seal,
  key: string | undefined,
  now: number,
): Promise<{ readonly record: DecisionRecord; readonly card: RecordedCard } | undefined> {
  const pointer = key === undefined ? undefined : await store.keyed(BASES, key);
  if (pointer === undefined || (pointer.expiresAt ?? Number.POSITIVE_INFINITY) <= now) return undefined;
  const [id = '', uuid] = pointer.value.split(' ');
  const kept = await store.keyed(CALLS, id);
  const record = kept && decoded(seal.open(kept.value, kept.key));
  const card = record?.cards.find((each) => each.uuid === uuid);
  return record === undefined || card === undefined ? undefined : { record, card };
}

/** The record of a card as it was sent to this client; undefined when it is not known, has expired, or was sealed with another key. */
export async function decisionOf(
  store: Pick<ResourceStore, 'keyed'>,
  seal: Seal,
  { client, uuid }: { readonly client: string; readonly uuid: string },
  now: number,
): Promise<DecisionRecord | undefined> {
  const pointer = await store.keyed(CARDS, cardKey(client, uuid));
  if (pointer === undefined || (pointer.expiresAt ?? Number.POSITIVE_INFINITY) <= now) return undefined;
  const kept = await store.keyed(CALLS, pointer.value);
  return kept && decoded(seal.open(kept.value, kept.key));
}

/** Records in the order of their calls, at most `count`. */
export interface DecisionPage {
  readonly records: readonly DecisionRecord[];
  /** Id of the last one looked at; undefined when there are no more. */
  readonly after: string | undefined;
}

/** A page of records from an instant on, or after an id: for reports. Ids of calls rise with time. */
export async function decisionPage(
  store: Pick<ResourceStore, 'keyedPage'>,
  seal: Seal,
  place: { readonly from: number; readonly after: string | undefined },
  count: number,
): Promise<DecisionPage> {
  const page = await store.keyedPage(CALLS, { after: place.after ?? firstIdAt(place.from), count });
  const records = page.flatMap(({ key, value }) => decoded(seal.open(value, key)) ?? []);
  return { records, after: page.length < count ? undefined : page.at(-1)?.key };
}

/** A UUIDv7 sorts by its first 48 bits, ms since 1970; one minute earlier allows for clocks. */
function firstIdAt(from: number): string {
  const hex = Math.max(0, Math.floor(from) - 60_000)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

/** Only this server writes these texts, and the seal proves it. */
function decoded(text: string | undefined): DecisionRecord | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as DecisionRecord);
}
