/**
 * Links on cards: to the page of what one card stood on, by a handle that says nothing, and to the pages of models.
 * A handle is a keyed hash of the decision record and the card: unguessable without the key of the installation, other for every call, no id inside.
 * The store keeps its digest only, so that who reads the store cannot open a page. Source: CDS Hooks 2.0.1 "Link"; docs/decisions/0026-pages.md.
 */
import { createHmac, createSecretKey, hash, hkdfSync } from 'node:crypto';

export interface CardLinks {
  /** Address of the basis of a card. */
  basis(card: string): string;
  /** Address of the page of a model, a score or the drug tables. */
  model(id: string, version: string): string;
}

export interface BasisHandles {
  /** 43 letters, digits, `-` and `_`. */
  of(record: string, card: string): string;
  /** Key in the store; undefined for a text that is no handle. */
  keyOf(handle: string): string | undefined;
}

const HANDLE = /^[A-Za-z0-9_-]{43}$/;
/** Path of the pages behind handles. */
export const BASIS_PATH = '/cds-basis';

/** @param secret at least 16 bytes */
export function basisHandles(secret: Uint8Array): BasisHandles {
  const key = createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', 'firewatch basis handle', 32)));
  return {
    of: (record, card) => createHmac('sha256', key).update(`${record}\n${card}`).digest('base64url'),
    keyOf: (handle) => (HANDLE.test(handle) ? hash('sha256', handle, 'base64url') : undefined),
  };
}

/** The links of one call's cards. @param record id of the decision record that the call will leave */
export function cardLinks(publicUrl: string, handles: BasisHandles, record: string): CardLinks {
  return {
    basis: (card) => `${publicUrl}${BASIS_PATH}/${handles.of(record, card)}`,
    model: (id, version) => `${publicUrl}/models/${encodeURIComponent(id)}/${encodeURIComponent(version)}`,
  };
}
