// The seed patients in a store in memory, asked through the real services, models and tables, at the instant that their stories are told at.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Card } from '../../src/cds/cards/card.ts';
import { answer } from '../../src/rest/interact.ts';
import { localCaller, localFacts } from '../../src/rest/permission/caller.ts';
import type { Models } from '../../src/risk/assessment.ts';
import { openRanker } from '../../src/risk/drugs/rank.ts';
import { loadDrugSafety } from '../../src/risk/drugs/safety.ts';
import { loadModels } from '../../src/risk/models/models.ts';
import { world as fhirWorld } from '../world.ts';
import { AT, FHIR_BASE, INSTANCE, ROOT, world } from './world.ts';

export interface SeedWorld {
  /** Cards of a service for a seed patient; `context` beside user, patient and encounter. */
  cards(service: string, hook: string, patient: string, context?: object): Promise<readonly Card[]>;
  readonly models: Models;
  close(): Promise<void>;
}

/** The seed bundles, loaded; everything is read from the store: no prefetch is sent. */
export async function seedWorld(): Promise<SeedWorld> {
  const held = fhirWorld({ start: AT, settings: { bundleEntryLimit: 1000, maxCount: 1000, fhirBase: FHIR_BASE } });
  const folder = join(ROOT, 'seed-data');
  for (const file of readdirSync(folder).toSorted()) {
    const sent = await held.send('POST', '/', { body: readFileSync(join(folder, file), 'utf8') });
    if (sent.status !== 200) throw new Error(`${file}: ${sent.status}`);
  }
  const models = await loadModels(join(ROOT, 'models'), { now: () => AT });
  const knowledge = join(ROOT, 'knowledge');
  const drugSafety = { ...loadDrugSafety(knowledge), rank: await openRanker(knowledge) };
  const one = world({
    models,
    drugSafety,
    deadlineMs: 60_000,
    door: (wire) => answer(wire, localCaller(localFacts('r1', '127.0.0.1')), held.context),
  });
  return {
    cards: async (service, hook, patient, context = {}) => {
      const body = {
        hookInstance: INSTANCE,
        hook,
        fhirServer: FHIR_BASE,
        context: {
          userId: 'Practitioner/example',
          patientId: patient,
          encounterId: `${patient}-encounter`,
          ...context,
        },
      };
      const { status, cards, text } = await one.call(service, body);
      if (status !== 200) throw new Error(text);
      return cards;
    },
    models,
    close: () => models.close(),
  };
}
