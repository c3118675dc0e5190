/** Calls of CDS Hooks 2.0.1 as a client makes them, without prefetch: this server reads its own store. Every call is timed. */

const JSON_TYPE = { 'Content-Type': 'application/json' };

/** A version 4 UUID; randomUUID is missing where the address is neither https nor loopback. */
function newUuid() {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

async function asked(method, path, body) {
  const started = performance.now();
  const sent = body === undefined ? {} : { headers: JSON_TYPE, body: JSON.stringify(body) };
  const response = await fetch(path, { method, cache: 'no-store', ...sent });
  const text = await response.text();
  const ms = Math.round(performance.now() - started);
  let value;
  try {
    value = text === '' ? undefined : JSON.parse(text);
  } catch {
    value = text;
  }
  return { method, path, body, status: response.status, value, ms };
}

/** A FHIR read or search of this server. */
export const read = (path) => asked('GET', path);

/** The services that this server has. */
export const discover = () => asked('GET', '/cds-services');

/** One service of a hook, with its context. */
export function call(service, context) {
  const body = { hook: service.hook, hookInstance: newUuid(), context };
  return asked('POST', `/cds-services/${service.id}`, body);
}

export const sendFeedback = (service, item) =>
  asked('POST', `/cds-services/${service}/feedback`, {
    feedback: [{ ...item, outcomeTimestamp: new Date().toISOString() }],
  });

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';

/** An order as it is drafted: the code from the tables, the words as typed. */
export function draftOrder(id, patient, drug, text) {
  return {
    resourceType: 'MedicationRequest',
    id,
    status: 'draft',
    intent: 'order',
    subject: { reference: `Patient/${patient}` },
    authoredOn: new Date().toISOString(),
    medicationCodeableConcept: {
      coding: [{ system: RXNORM, code: drug.rxcui, display: drug.name }],
      text,
    },
  };
}

export const bundleOf = (resources) => ({
  resourceType: 'Bundle',
  type: 'collection',
  entry: resources.map((resource) => ({ resource })),
});
