// IHE BALP (ITI vol. 3, BasicAudit Create|Read|Update|Delete|Query and their Patient twins, compared with github.com/IHE/ITI.BasicAudit input/fsh);
// FHIR R4 auditevent.html. Rules as our own checks.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { AuditEvent, AuditEventAgent, Coding } from 'fhir/r4.d.ts';
import { AT, accessOf, caller, EHR, findings, REQUEST_ID, rendered, rowOf, SAMPLES, SOURCE } from './world.ts';

const BALP = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.';
const DCM = 'http://dicom.nema.org/resources/ontology/DCM|';
const PROVENANCE = 'http://terminology.hl7.org/CodeSystem/provenance-participant-type|';
const PARTICIPATION = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType|';
const ENTITY = 'http://terminology.hl7.org/CodeSystem/audit-entity-type|';
const ROLE = 'http://terminology.hl7.org/CodeSystem/object-role|';

const isUser = (agent: AuditEventAgent): boolean => typeOf(agent).startsWith(PARTICIPATION);
const pair = (coding: Coding | undefined): string => `${coding?.system}|${coding?.code}`;
const typeOf = (agent: AuditEventAgent | undefined): string => pair(agent?.type?.coding?.[0]);
const entitiesOf = (event: AuditEvent, type: string, role?: string) =>
  (event.entity ?? []).filter(
    (entity) => pair(entity.type) === type && (role === undefined || pair(entity.role) === role),
  );

/** THE table of BALP: interaction -> action, client, server, user, profile. */
const rows: readonly [
  interaction: string,
  action: string,
  client: string,
  server: string,
  user: string,
  profile: string,
][] = [
  ['read', 'R', `${DCM}110152`, `${DCM}110153`, 'IRCP', 'Read'],
  ['vread', 'R', `${DCM}110152`, `${DCM}110153`, 'IRCP', 'Read'],
  ['create', 'C', `${DCM}110153`, `${DCM}110152`, 'AUT', 'Create'],
  ['update', 'U', `${DCM}110153`, `${DCM}110152`, 'AUT', 'Update'],
  ['patch', 'U', `${DCM}110153`, `${DCM}110152`, 'AUT', 'Update'],
  ['delete', 'D', `${DCM}110150`, `${PROVENANCE}custodian`, 'AUT', 'Delete'],
  ['search-type', 'E', `${DCM}110153`, `${DCM}110152`, 'IRCP', 'Query'],
  ['search-system', 'E', `${DCM}110153`, `${DCM}110152`, 'IRCP', 'Query'],
  ['search', 'E', `${DCM}110153`, `${DCM}110152`, 'IRCP', 'Query'],
  ['history-instance', 'R', `${DCM}110152`, `${DCM}110153`, 'IRCP', ''],
  ['history-type', 'R', `${DCM}110152`, `${DCM}110153`, 'IRCP', ''],
  ['history-system', 'R', `${DCM}110152`, `${DCM}110153`, 'IRCP', ''],
  ['capabilities', 'R', `${DCM}110152`, `${DCM}110153`, 'IRCP', ''],
  ['operation', 'E', `${DCM}110153`, `${DCM}110152`, 'IRCP', ''],
];

for (const [interaction, action, client, server, userType, profile] of rows)
  for (const patients of [[], ['p1']])
    for (const user of [undefined, 'Practitioner/12'])
      for (const [status, outcome] of [
        [200, '0'],
        [399, '0'],
        [400, '4'],
        [499, '4'],
        [500, '8'],
      ] as const) {
        const name = `§8.12 balp ${interaction}, ${patients.length} patients, ${user ?? 'no user'}, ${status}`;
        test(name, () => {
          const query = interaction.startsWith('search') ? 'GET /fhir/Observation?code=x' : undefined;
          const resource = { type: 'Observation', id: 'o1', version: 3 };
          const entry = { interaction, patients, ...(query === undefined ? { resource } : { query }) };
          const [event, ...more] = rendered(rowOf(accessOf([entry], { caller: caller(user), status })));
          assert.ok(event);
          assert.equal(more.length, 0);
          const twin = patients.length === 0 ? '' : 'Patient';
          const claimed = outcome === '0' && profile !== '' ? [`${BALP}${twin}${profile}`] : undefined;
          assert.deepEqual(event.meta?.profile, claimed);
          assert.equal(pair(event.type), 'http://terminology.hl7.org/CodeSystem/audit-event-type|rest');
          assert.deepEqual(event.subtype?.map(pair), [`http://hl7.org/fhir/restful-interaction|${interaction}`]);
          assert.equal(event.action, action);
          assert.equal(event.outcome, outcome);
          assert.deepEqual(event.agent.map(typeOf), [client, server, ...(user ? [`${PARTICIPATION}${userType}`] : [])]);
          assert.deepEqual(
            event.agent.map(({ requestor }) => requestor),
            user ? [false, false, true] : [true, false],
          );
          assert.equal(entitiesOf(event, `${ENTITY}1`, `${ROLE}1`).length, patients.length);
          const keyEntities = entitiesOf(event, `${ENTITY}2`, query === undefined ? `${ROLE}4` : `${ROLE}24`);
          assert.equal(keyEntities.length, 1);
          if (query === undefined) assert.equal(keyEntities[0]?.what?.reference, 'Observation/o1/_history/3');
        });
      }

/** This server as the client of another one: who is who, what came of it. The EHR that asked is an application beside them. */
const askedRows: readonly [
  interaction: 'read' | 'search-type',
  status: number | undefined,
  outcome: string,
  client: string,
  server: string,
][] = [
  ['read', 200, '0', `${DCM}110152`, `${DCM}110153`],
  ['search-type', 200, '0', `${DCM}110153`, `${DCM}110152`],
  ['search-type', 299, '0', `${DCM}110153`, `${DCM}110152`],
  ['search-type', 302, '4', `${DCM}110153`, `${DCM}110152`],
  ['read', 400, '4', `${DCM}110152`, `${DCM}110153`],
  ['read', 404, '4', `${DCM}110152`, `${DCM}110153`],
  ['search-type', 499, '4', `${DCM}110153`, `${DCM}110152`],
  ['search-type', 500, '8', `${DCM}110153`, `${DCM}110152`],
  ['read', undefined, '8', `${DCM}110152`, `${DCM}110153`],
];
for (const [interaction, status, outcome, client, server] of askedRows)
  for (const user of [undefined, 'Practitioner/12'])
    test(`§5.6.4 balp asked elsewhere: ${interaction}, ${user ?? 'no user'}, ${status ?? 'no answer'}`, () => {
      const what =
        interaction === 'read' ? { resource: { type: 'Encounter', id: 'e1' } } : { query: `GET ${EHR}/X?y=z` };
      const entry = { interaction, ...what, patients: ['p1'], asked: { server: EHR, status } };
      // The request itself failed: what was asked elsewhere has an outcome and a description of its own.
      const access = accessOf([entry], { caller: caller(user), status: 412, outcomeDescription: 'refused' });
      const [event] = rendered(rowOf(access));
      assert.ok(event);
      const profile = `${BALP}Patient${interaction === 'read' ? 'Read' : 'Query'}`;
      assert.deepEqual(event.meta?.profile, outcome === '0' ? [profile] : undefined);
      assert.equal(event.outcome, outcome);
      const said = status === undefined ? 'No answer.' : `Answered with status ${status}.`;
      assert.equal(event.outcomeDesc, outcome === '0' ? undefined : said);
      assert.equal(event.source.observer.identifier?.value, SOURCE.observer);
      assert.deepEqual(
        event.agent.map((agent) => [
          typeOf(agent),
          agent.who?.identifier?.value ?? agent.who?.reference,
          agent.requestor,
        ]),
        [
          [client, SOURCE.observer, user === undefined],
          [server, EHR, false],
          [`${DCM}110150`, 'ward-app', false],
          ...(user === undefined ? [] : [[`${PARTICIPATION}IRCP`, user, true]]),
        ],
      );
      assert.deepEqual(event.agent[1]?.network, { address: EHR, type: '5' });
      const data = entitiesOf(event, `${ENTITY}2`, `${ROLE}4`).map(({ what: found }) => found?.reference);
      assert.deepEqual(data, interaction === 'read' ? [`${EHR}/Encounter/e1`] : []);
    });

/** Rules every AuditEvent of ours keeps, also failures and our own patterns. */
const everywhere: readonly [rule: string, holds: (event: AuditEvent) => boolean][] = [
  [
    '§5.6.2 agents that are no user have a network address of type 1, 2 or 5',
    ({ agent }) =>
      agent
        .filter((each) => !isUser(each))
        .every(({ network }) => !!network?.address && ['1', '2', '5'].includes(network.type ?? '')),
  ],
  ['a user agent has no network', ({ agent }) => agent.filter(isUser).every(({ network }) => network === undefined)],
  ['no agent has media', ({ agent }) => agent.every(({ media }) => media === undefined)],
  [
    'every agent has who and type',
    ({ agent }) => agent.every(({ who, type }) => who !== undefined && type !== undefined),
  ],
  [
    'one client, one server, at most one user, and an application where another server was asked',
    (event) => {
      const software = event.agent.filter((agent) => !isUser(agent)).map(typeOf);
      const isAsked = event.agent.some(({ network }) => network?.type === '5');
      return software.length === (isAsked ? 3 : 2) && new Set(software).size === software.length;
    },
  ],
  ['at most one user', ({ agent }) => agent.filter(isUser).length <= 1],
  ['exactly one agent is the requestor', ({ agent }) => agent.filter(({ requestor }) => requestor).length === 1],
  ['the observer is this server', ({ source }) => source.observer.identifier?.value === SOURCE.observer],
  [
    'one X-Request-Id entity',
    (event) => {
      const found = entitiesOf(event, 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType|XrequestId');
      return found.length === 1 && found[0]?.what?.identifier?.value === REQUEST_ID;
    },
  ],
  ['at most one patient entity', (event) => entitiesOf(event, `${ENTITY}1`, `${ROLE}1`).length <= 1],
  [
    'a patient entity names its patient',
    (event) =>
      entitiesOf(event, `${ENTITY}1`).every(
        ({ what }) => what?.reference?.startsWith('Patient/') || what?.identifier?.value !== undefined,
      ),
  ],
  [
    'an event that claims a profile has exactly one entity of type System Object, its slice data or query',
    (event) => event.meta?.profile === undefined || entitiesOf(event, `${ENTITY}2`).length === 1,
  ],
  ['name and query are never together', ({ entity }) => (entity ?? []).every(({ name, query }) => !name || !query)],
  [
    'a query entity has no what, lifecycle, name or detail',
    ({ entity }) =>
      (entity ?? []).every(
        ({ role, what, lifecycle, name, detail }) =>
          role?.code !== '24' || [what, lifecycle, name, detail].every((part) => part === undefined),
      ),
  ],
  [
    'a query has a value or says why not',
    ({ entity }) =>
      (entity ?? []).every(
        ({ role, query, _query }) => role?.code !== '24' || query !== undefined || _query?.extension !== undefined,
      ),
  ],
  [
    'recorded, lastUpdated and version are ours',
    ({ recorded, meta }) =>
      recorded === new Date(AT).toISOString() && meta?.lastUpdated === recorded && meta.versionId === '1',
  ],
  ['only successes claim a profile', ({ outcome, meta }) => outcome === '0' || meta?.profile === undefined],
  [
    'a claimed twin fits the patient entity',
    (event) => {
      const profile = event.meta?.profile?.[0];
      const patients = entitiesOf(event, `${ENTITY}1`, `${ROLE}1`).length;
      return profile === undefined || profile.startsWith(`${BALP}Patient`) === (patients === 1);
    },
  ],
  [
    'valid against the base AuditEvent',
    (event) => {
      const found = findings(JSON.parse(JSON.stringify(event)));
      assert.deepEqual(found, []);
      return true;
    },
  ],
];
for (const [name, access] of Object.entries(SAMPLES))
  for (const erased of [false, true])
    test(`balp rules: ${name}${erased ? ', erased' : ''}`, () => {
      for (const event of rendered(rowOf(access), { erased }))
        for (const [rule, holds] of everywhere) assert.ok(holds(event), `${event.id}: ${rule}`);
    });

const addresses: readonly [address: string, type: string][] = [
  ['192.0.2.7', '2'],
  ['2001:db8::1', '2'],
  ['::ffff:192.0.2.7', '2'],
  ['fe80::1%eth0', '2'],
  ['ward-3.example.org', '1'],
  ['https://ehr.example.org/', '5'],
];
for (const [address, type] of addresses)
  test(`network-type of ${address} is ${type}`, () => {
    const [event] = rendered(rowOf(accessOf([], { caller: { ...caller(), address } })));
    assert.deepEqual(event?.agent[0]?.network, { address, type });
  });
