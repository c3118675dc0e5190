// patient.html#links: records joined by Patient.link are one person, whichever of them is asked for. docs/decisions/0019-patient-merge.md.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LINKED_LIMIT, personOf } from '../../src/rest/interactions/patient-links.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import { at, idsOf, json, linkOf } from '../world.ts';
import { issuesIn, type OperationsWorld, operationsWorld } from './operations-world.ts';

let w: OperationsWorld;
const link = (id: string, type = 'seealso') => ({ other: { reference: `Patient/${id}` }, type });
const allergy = (id: string, patient: string) => ({
  resourceType: 'AllergyIntolerance',
  id,
  patient: { reference: `Patient/${patient}` },
  clinicalStatus: {
    coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
  },
  code: { coding: [{ system: 'http://snomed.info/sct', code: '372687004' }] },
});
const observation = (id: string, patient: string) => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  category: [{ coding: [{ code: 'vital-signs' }] }],
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: `Patient/${patient}` },
  effectiveDateTime: `2026-01-0${patient.length}T00:00:00Z`,
});

/** One pair a type of link, the link on one side only; a triangle; a chain of four; somebody else. */
const TYPES = ['replaced-by', 'replaces', 'refer', 'seealso'] as const;

before(async () => {
  w = await operationsWorld();
  for (const type of TYPES) {
    await w.hold(
      { resourceType: 'Patient', id: `${type}-from`, link: [link(`${type}-to`, type)] },
      { resourceType: 'Patient', id: `${type}-to`, name: [{ family: `Family-${type}` }] },
      allergy(`${type}-a-from`, `${type}-from`),
      allergy(`${type}-a-to`, `${type}-to`),
    );
  }
  await w.hold(
    { resourceType: 'Patient', id: 'c1', link: [link('c2')] },
    { resourceType: 'Patient', id: 'c2', link: [link('c3')] },
    { resourceType: 'Patient', id: 'c3', link: [link('c1'), link('c3'), link('c3')] },
    observation('o1', 'c1'),
    observation('o2', 'c2'),
    observation('o3', 'c3'),
    { resourceType: 'Patient', id: 'd1', identifier: [{ system: 'urn:mrn', value: 'one' }], link: [link('d2')] },
    { resourceType: 'Patient', id: 'd2', link: [link('d3')] },
    { resourceType: 'Patient', id: 'd3', link: [link('d4')] },
    { resourceType: 'Patient', id: 'd4', identifier: [{ system: 'urn:mrn', value: 'four' }] },
    observation('od1', 'd1'),
    observation('od4', 'd4'),
    { resourceType: 'Patient', id: 'alone' },
    observation('other', 'alone'),
    allergy('a-other', 'alone'),
    { resourceType: 'RelatedPerson', id: 'r1', patient: { reference: 'Patient/alone' } },
    { resourceType: 'Patient', id: 'kin', link: [{ other: { reference: 'RelatedPerson/r1' }, type: 'seealso' }] },
    { resourceType: 'Patient', id: 'dangling', link: [link('gone'), { other: { display: 'x' }, type: 'refer' }] },
    observation('o-dangling', 'dangling'),
    {
      resourceType: 'Group',
      id: 'g1',
      type: 'person',
      actual: true,
      member: [{ entity: { reference: 'Patient/c1' } }],
    },
  );
});
after(() => w.close());

async function ids(url: string, mode?: string): Promise<readonly string[]> {
  const response = await w.send('GET', url);
  assert.equal(response.status, 200, response.body);
  return [...idsOf(json(response), mode)].sort();
}

for (const type of TYPES)
  for (const side of ['from', 'to'])
    test(`patient.html#links ${type}, asked for the record the link is ${side}: no allergy is lost`, async () => {
      const both = [`${type}-a-from`, `${type}-a-to`];
      const id = `${type}-${side}`;
      const rows = {
        [`/AllergyIntolerance?patient=Patient/${id}`]: both,
        [`/AllergyIntolerance?patient=${id}`]: both,
        [`/AllergyIntolerance?patient:Patient=${id}`]: both,
        [`/AllergyIntolerance?patient=http://127.0.0.1:8080/fhir/Patient/${id}`]: both,
        [`/Patient/${id}/AllergyIntolerance`]: both,
        [`/AllergyIntolerance?patient._id=${id}`]: both,
        [`/AllergyIntolerance?patient.family=Family-${type}`]: both,
        [`/AllergyIntolerance?_filter=patient eq Patient/${id}`.replaceAll(' ', '%20')]: both,
      };
      const found = await Promise.all(Object.keys(rows).map(async (url) => [url, await ids(url)] as const));
      assert.deepEqual(Object.fromEntries(found), rows);
      assert.deepEqual(await ids(`/Patient?_id=${id}&_revinclude=AllergyIntolerance:patient`, 'include'), both);
      assert.deepEqual(await ids(`/Patient?_id=${id}`), [id], 'control: a Patient is asked for by its own id');
    });

const rows: readonly [url: string, expected: readonly string[], why: string][] = [
  ['/Observation?patient=c1', ['o1', 'o2', 'o3'], 'a cycle is walked once'],
  ['/Observation?patient=c3', ['o1', 'o2', 'o3'], 'a link to itself and a repeated one change nothing'],
  ['/Observation?subject=Patient/d1', ['od1', 'od4'], 'three links away, forward'],
  ['/Observation?subject=Patient/d4', ['od1', 'od4'], 'three links away, backward'],
  ['/Patient/d4/Observation', ['od1', 'od4'], 'a compartment follows as far'],
  ['/Observation?patient=alone', ['other'], 'nobody else is joined'],
  ['/Observation?patient=kin', [], 'a link to a RelatedPerson joins no Patients'],
  ['/Observation?patient=dangling', ['o-dangling'], 'a link to what is not held is harmless'],
  ['/Observation?patient=gone', ['o-dangling'], 'and followed from its end'],
  ['/Observation?patient=alone,c1', ['o1', 'o2', 'o3', 'other'], 'alternatives: each person'],
  ['/Observation?patient=c1&subject=Patient/c2', ['o1', 'o2', 'o3'], 'both: the same person'],
  ['/Observation?patient=c1&subject=Patient/alone', [], 'both: two persons'],
  ['/Observation?patient.identifier=urn:mrn|one', ['od1'], 'a chain follows two links, and d4 is three away'],
  ['/Patient?_has:Observation:patient:_id=o2', ['c1', 'c2', 'c3'], '_has: every record of the person'],
  ['/Patient?link=Patient/c1', ['c3'], 'the link itself is asked for by the letter'],
  ['/Patient/c1/Patient', ['c1', 'c2', 'c3'], 'the Patients of a compartment'],
  ['/Group?member=Patient/c3', ['g1'], 'any reference to a person'],
  ['/Observation/$lastn?patient=c1&category=vital-signs&max=3', ['o1', 'o2', 'o3'], '$lastn'],
  ['/Patient/c2/$everything?_type=Patient,Observation', ['c1', 'c2', 'c3', 'o1', 'o2', 'o3'], '$everything'],
];
for (const [url, expected, why] of rows)
  test(`patient.html#links ${url}: ${why}`, async () => assert.deepEqual(await ids(url), [...expected].sort()));

test('patient.html#links pages of a person: each resource once, over pages of one', async () => {
  const found: string[] = [];
  for (let url: string | undefined = '/Observation?patient=c1&_count=1'; url !== undefined; ) {
    const bundle = json(await w.send('GET', url));
    found.push(...idsOf(bundle));
    url = linkOf(bundle, 'next');
  }
  assert.deepEqual(found.toSorted(), ['o1', 'o2', 'o3']);
});

test('patient.html#links audit: a search by one record names every record of the person', async () => {
  await w.send('GET', '/Observation?patient=c1&code=none');
  const [entry] = w.accesses.at(-1)?.entries ?? [];
  assert.deepEqual([...(entry?.patients ?? [])].sort(), ['c1', 'c2', 'c3']);
});

test('patient.html#links access: links never widen what a caller may see', async () => {
  const own = (type: string) =>
    type === 'Observation'
      ? ({ kind: 'reference', parameter: 'Observation.subject', targets: ['Patient/c1'] } as const)
      : ({ kind: 'all' } as const);
  const found = json(await w.sendAs(own, 'GET', '/Observation?patient=c2'));
  assert.deepEqual(idsOf(found), ['o1'], 'o1 is visible and of the person; o2 and o3 are not visible');
});

test('conditional criteria are taken by the letter: a link does not change which resource is written', async () => {
  const body = { ...observation('x', 'c3'), id: undefined };
  const response = await w.send('POST', '/Observation', {
    body,
    headers: { 'if-none-exist': 'patient=c1&code=8867-4&_id=o2' },
  });
  assert.equal(response.status, 201);
  await w.send('DELETE', `/Observation/${at(json(response), 'id')}`);
});

test(`patient.html#links ${LINKED_LIMIT} further records are followed, one more is refused and not left out`, async () => {
  const star = (centre: string, points: number) =>
    w.hold(
      { resourceType: 'Patient', id: centre },
      ...Array.from({ length: points }, (_, index) => ({
        resourceType: 'Patient',
        id: `${centre}-${index}`,
        link: [link(centre, 'replaced-by')],
      })),
    );
  await star('full', LINKED_LIMIT);
  await star('over', LINKED_LIMIT + 1);
  assert.equal((await personOf('full', localCaller(localFacts('', '')).access, w.context)).length, LINKED_LIMIT + 1);
  assert.equal((await w.send('GET', '/Observation?patient=full-7')).status, 200);
  const refused = await w.send('GET', '/Observation?patient=over-7');
  assert.deepEqual([refused.status, ...issuesIn(refused)], [400, 'error too-costly']);
  assert.equal((await w.send('GET', '/Patient/over')).status, 200, 'the record itself is still read');
  assert.deepEqual(w.reported, []);
});
