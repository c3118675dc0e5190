// docs/authorization.md, decision 0028: a filter is of one store by its policy and clock. Two systems in one process, asked with the very same rights.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FOLDERS } from '../../src/folders.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { strangerFacts } from '../../src/rest/permission/caller.ts';
import { accessFilter } from '../../src/smart/access.ts';
import { loadPolicy } from '../../src/smart/roles.ts';
import { type Rights, scopesOf } from '../../src/smart/scopes.ts';
import { type EngineWorld, engineWorld } from '../rest/engine-world.ts';
import { idsOf, json } from '../world.ts';

const CODE = { coding: [{ system: 'urn:codes', code: 'x' }] };
const CONSENT = {
  ...{ resourceType: 'Consent', id: 'no', status: 'active', patient: { reference: 'Patient/a' } },
  scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
  ...{ category: [CODE], policyRule: CODE, provision: { type: 'deny' } },
};
const PATIENTS = ['a', 'b'].map((id) => ({ resourceType: 'Patient', id }));

let closed: EngineWorld;
let open: EngineWorld;
let contexts: Readonly<Record<'closed' | 'open' | 'free', RestContext>>;
before(async () => {
  [closed, open] = [await engineWorld([...PATIENTS, CONSENT]), await engineWorld(PATIENTS)];
  const policy = loadPolicy(FOLDERS);
  // The same claims and clock: nothing but the store tells them apart, or nothing but the policy.
  const { capability, ambient } = open.context;
  const of = (context: RestContext) => ({ ...context, capability, ambient });
  contexts = {
    ...{ closed: { ...of(closed.context), policy }, open: { ...of(open.context), policy } },
    free: of(closed.context),
  };
});
after(async () => {
  await closed.close();
  await open.close();
});

const rights = (): Rights => ({
  ...{ kind: 'granted', scopes: scopesOf('user/*.rs'), patients: [] },
  situation: { roles: ['physician'], purposes: [], actors: ['Practitioner/dr'] },
});
const SEEN = { closed: ['b'], open: ['a', 'b'], free: ['a', 'b'] } as const;
const orders: readonly (readonly (keyof typeof SEEN)[])[] = [
  ['closed', 'open', 'free', 'closed'],
  ['open', 'closed', 'open', 'free'],
  ['free', 'closed', 'open', 'closed'],
];
const KINDS = [
  ['the very same rights', (first: Rights) => first],
  ['rights that say the same', () => rights()],
] as const;

for (const [kind, next] of KINDS)
  for (const order of orders)
    test(`smart@two-systems ${kind}: ${order.join(', then ')}`, async () => {
      const first = rights();
      for (const name of order) {
        const context = contexts[name];
        const given = next(first);
        const facts = { ...strangerFacts('request-1', '127.0.0.1'), principal: kind, rights: given };
        const caller = { ...facts, access: accessFilter(given, kind, context) };
        const found = json(await answer(open.wire('GET', '/Patient?_count=50'), caller, context));
        assert.deepEqual(idsOf(found), SEEN[name], name);
      }
    });
