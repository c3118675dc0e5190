/** A hospital to watch: wards of a site, patients in them, cases on chosen days; the real door, engine and definitions in a folder of its own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JsonObject, Resource } from '../../src/fhir/resource.ts';
import { isJsonObject } from '../../src/fhir/resource.ts';
import type { Predicate } from '../../src/fhir/search/algebra.ts';
import type { RestContext } from '../../src/rest/context.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { FhirResponse } from '../../src/rest/request.ts';
import { type DefinitionFile, loadSurveillance } from '../../src/surveillance/definition.ts';
import { surveillanceDesk } from '../../src/surveillance/desk.ts';
import { SurveillanceDoor } from '../../src/surveillance/door.ts';
import type { Site } from '../../src/surveillance/evaluate.ts';
import { type OperationsWorld, operationsWorld } from '../rest/operations-world.ts';
import { json, world } from '../world.ts';

const SHIPPED = join(import.meta.dirname, '..', '..', 'surveillance');
export const ICD = 'http://hl7.org/fhir/sid/icd-10-cm';
export const SNOMED = 'http://snomed.info/sct';

/** A small definition: one diagnosis and one organism, judged by C1 over five days. */
export const FLU: DefinitionFile = {
  id: 'flu',
  version: '1.0.0',
  title: 'Influenza',
  basis: 'test',
  severity: 'moderate',
  level: 'wa',
  episodeDays: 3,
  quietDays: 2,
  minimumCount: 3,
  smallCell: 4,
  sources: [
    { type: 'Condition', code: { codes: { [ICD]: ['J10.1', 'J11.1'] } } },
    { type: 'Observation', value: { codes: { [SNOMED]: ['407479009'] } } },
    { type: 'DiagnosticReport', value: { codes: { [SNOMED]: ['407479009'] } } },
  ],
  detection: { baselineDays: 5, lagDays: 1, minimumDays: 3, minimumDeviation: 0.5, thresholds: { c1: 3 } },
};

/** Definitions as files, with the shipped schema. @returns the folder */
export function definitionFolder(...files: readonly (readonly [name: string, content: unknown])[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'surveillance-'));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'schema.json'), readFileSync(join(SHIPPED, 'schema.json')));
  for (const [name, content] of files) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

export interface Hospital {
  readonly w: OperationsWorld;
  readonly definitions: ReturnType<typeof loadSurveillance>;
  readonly site: Site;
  /** Sets the clock. */
  setNow(instant: string): void;
  /** POST /$surveillance with these parameters. */
  ask(given?: Readonly<Record<string, string>>, visible?: (type: string) => Predicate): Promise<FhirResponse>;
  close(): Promise<void>;
}

export async function hospital(
  files: readonly DefinitionFile[] = [FLU],
  { zone = 'UTC', now = '2026-01-20T12:00:00Z' } = {},
): Promise<Hospital> {
  const folder = definitionFolder(...files.map((file) => [`${file.id}.json`, file] as const));
  const definitions = loadSurveillance(folder);
  const w = await operationsWorld();
  let at = Date.parse(now);
  const context: RestContext = {
    ...w.context,
    ambient: { ...w.context.ambient, now: () => at },
    surveillance: surveillanceDesk(definitions, zone),
  };
  const { wire } = world();
  const local = localCaller(localFacts('request-1', '127.0.0.1'));
  const types = { definition: 'valueCode', from: 'valueDate', to: 'valueDate', location: 'valueString' } as const;
  await w.hold(
    { resourceType: 'Location', id: 'site', physicalType: { coding: [{ code: 'si' }] } },
    {
      resourceType: 'Location',
      id: 'ward-a',
      physicalType: { coding: [{ code: 'wa' }] },
      partOf: refer('Location/site'),
    },
    {
      resourceType: 'Location',
      id: 'ward-b',
      physicalType: { coding: [{ code: 'wa' }] },
      partOf: refer('Location/site'),
    },
    {
      resourceType: 'Location',
      id: 'bed-1',
      physicalType: { coding: [{ code: 'bd' }] },
      partOf: refer('Location/ward-a'),
    },
    { resourceType: 'Organization', id: 'clinic', name: 'Clinic' },
  );
  return {
    w,
    definitions,
    site: { door: new SurveillanceDoor(context, 'daily'), zone },
    setNow: (instant) => {
      at = Date.parse(instant);
    },
    ask: (given = {}, visible) => {
      const parameter = Object.entries(given).map(([name, value]) => ({
        name,
        [Object.entries(types).find(([each]) => each === name)?.[1] ?? 'valueString']: value,
      }));
      const caller = visible === undefined ? local : { ...local, access: { principal: 'narrow', visible } };
      const sent = { body: { resourceType: 'Parameters', ...(parameter.length > 0 ? { parameter } : {}) } };
      return answer(wire('POST', '/$surveillance', sent), caller, context);
    },
    close: async () => {
      await w.close();
      rmSync(folder, { recursive: true });
    },
  };
}

export const refer = (reference: string): JsonObject => ({ reference });
export const coded = (system: string, code: string): JsonObject => ({ coding: [{ system, code }] });

/** A stay: `Encounter/e-<patient>` in a ward or bed. */
export function stay(patient: string, location = 'ward-a', more: JsonObject = {}): Resource {
  return {
    resourceType: 'Encounter',
    id: `e-${patient}`,
    status: 'in-progress',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
    subject: refer(`Patient/${patient}`),
    serviceProvider: refer('Organization/clinic'),
    location: [{ location: refer(`Location/${location}`) }],
    ...more,
  };
}

/** A diagnosis of influenza in the stay of a patient. */
export function flu(id: string, patient: string, recordedDate: string, more: JsonObject = {}): Resource {
  return {
    resourceType: 'Condition',
    id,
    verificationStatus: coded('http://terminology.hl7.org/CodeSystem/condition-ver-status', 'confirmed'),
    code: coded(ICD, 'J10.1'),
    subject: refer(`Patient/${patient}`),
    encounter: refer(`Encounter/e-${patient}`),
    recordedDate,
    ...more,
  };
}

/** Patients `<name>-1` to `<name>-<count>`, each with a stay and one case of the day. */
export function outbreak(name: string, count: number, day: string, ward = 'ward-a'): readonly Resource[] {
  return Array.from({ length: count }, (_, index) => `${name}-${index + 1}`).flatMap((patient) => [
    { resourceType: 'Patient', id: patient },
    stay(patient, ward),
    flu(`c-${patient}`, patient, day),
  ]);
}

/** One unrelated diagnosis a day: nothing is missing. */
export function ordinary(...days: readonly string[]): readonly Resource[] {
  return days.map((day) => flu(`other-${day}`, 'other', day, { code: coded(ICD, 'I10') }));
}

/** Resources of an answer, of one type. */
export function given(response: FhirResponse, type: string): readonly JsonObject[] {
  const { entry } = json(response);
  return (Array.isArray(entry) ? entry : []).flatMap((each) =>
    isJsonObject(each) && isJsonObject(each.resource) && each.resource.resourceType === type ? [each.resource] : [],
  );
}

/** `Location/ward-a 3` for each group of the MeasureReports of an answer. */
export function groups(response: FhirResponse): readonly string[] {
  return given(response, 'MeasureReport').flatMap(({ group, period }) =>
    (Array.isArray(group) ? group : []).map((each) => {
      const text = JSON.stringify(each);
      const unit = /"code":"((?:Location|Organization)[^"]+)"/.exec(text)?.[1] ?? /"text":"([^"]+)"/.exec(text)?.[1];
      const day = isJsonObject(period) ? String(period.start) : '';
      return `${day} ${unit} ${/"count":(\d+)/.exec(text)?.[1]}`;
    }),
  );
}
