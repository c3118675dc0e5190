/** Agents and source of AuditEvents. Source: IHE BALP basic patterns: client and server exactly once each with network, user at most once without; further agents are free. */
import type { AuditEventAgent, AuditEventSource, CodeableConcept, Coding, Reference } from 'fhir/r4.d.ts';
import { ACT_REASON, APPLICATION, APPLICATION_SERVER, DATA_ABSENT_REASON, type Pattern, URI_SYSTEM } from './codes.ts';
import type { Form1, Form1Erasable } from './form.ts';

const IP_ADDRESS = /^\d{1,3}(?:\.\d{1,3}){3}$|^[0-9a-f.]*:[0-9a-f:.]*(?:%\w+)?$/i;
const REFERENCE = /^(?:https?:\/\/\S+\/)?[A-Z][A-Za-z]+\/[A-Za-z0-9\-.]{1,64}$/;

/** BALP: the token is told by its id only, of the user or, when there is none, of the client. */
const TOKEN = 'urn:ietf:params:oauth:jti:';

export const saysPurpose = ({ kind, hasPurpose }: Pattern): boolean => kind === undefined || hasPurpose === true;

export function purposesOf(codes: readonly string[]): CodeableConcept[] {
  return codes.map((code) => ({ coding: [{ system: ACT_REASON, code }] }));
}

/**
 * Client, server, then the user when one is known. Where another server was asked this one is the client, and who made it ask stands
 * beside it, as an application.
 * @param asked base of the other server
 */
export function agentsOf(
  row: Form1,
  erasable: Form1Erasable | undefined,
  pattern: Pattern,
  asked: string | undefined,
): AuditEventAgent[] {
  const token = erasable?.j === undefined ? {} : { policy: [TOKEN + erasable.j] };
  const ofCaller = row.u === undefined ? token : {};
  const caller = (type: Coding, requestor: boolean) => ({
    ...agent(type, identified(row.c), requestor, row.a),
    ...ofCaller,
  });
  const us = (type: Coding, requestor: boolean) => agent(type, observerOf(row), requestor, row.z[1]);
  const isAlone = row.u === undefined;
  const software =
    asked === undefined
      ? [caller(pattern.client, isAlone), us(pattern.server, false)]
      : [us(pattern.client, isAlone), agent(pattern.server, baseOf(asked), false, asked), caller(APPLICATION, false)];
  if (isAlone) return software;
  const purpose = row.g === undefined || !saysPurpose(pattern) ? {} : { purposeOfUse: purposesOf(row.g) };
  const user = { type: { coding: [pattern.user] }, who: userOf(erasable), requestor: true, ...token, ...purpose };
  return [...software, user];
}

function agent(type: Pattern['client'], who: Reference, requestor: boolean, address: string): AuditEventAgent {
  return { type: { coding: [type] }, who, requestor, network: { address, type: networkType(address) } };
}

/** network-type: 1 machine name, 2 IP address, 5 URI. */
function networkType(address: string): '1' | '2' | '5' {
  if (address.includes('://')) return '5';
  return IP_ADDRESS.test(address) ? '2' : '1';
}

/** [value] or [system, value]. */
function identified(client: readonly string[]): Reference {
  const value = client.at(-1) ?? '';
  const system = client.length > 1 ? client[0] : undefined;
  return { identifier: { ...(system === undefined ? {} : { system }), value } };
}

function userOf(erasable: Form1Erasable | undefined): Reference {
  const user = erasable?.u;
  if (user === undefined) return masked();
  return REFERENCE.test(user) ? { reference: user } : { identifier: { value: user } };
}

/** A Reference whose content was erased. */
export function masked(): Reference {
  return { extension: [{ url: DATA_ABSENT_REASON, valueCode: 'masked' }] };
}

const baseOf = (base: string): Reference => ({ identifier: { system: URI_SYSTEM, value: base } });
const observerOf = (row: Form1): Reference => baseOf(row.z[0]);

/** This server, as it was called when the row was written. */
export function sourceOf(row: Form1): AuditEventSource {
  return { observer: observerOf(row), type: [APPLICATION_SERVER] };
}
