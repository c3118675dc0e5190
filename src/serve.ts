/** Starts the server and says what to do with it: build, seed, listen, print, drain. */

import { progressBar } from './commands/progress.ts';
import type { Config } from './config.ts';
import { isOnlyHere } from './demonstration.ts';
import { isLoopback } from './http/access.ts';
import { closeGracefully, listen } from './http/app.ts';
import { watchDaily } from './model-drift.ts';
import { openActivity } from './open/activity.ts';
import { assertNoDemo, openDemo } from './open/demo-access.ts';
import { needsSeed, seed } from './open/seed.ts';
import { buildSystem } from './system.ts';

/** Runs until SIGTERM or SIGINT. Exit code 0 after a clean drain. */
export async function serve(config: Config): Promise<void> {
  if (!isLoopback(config.HOST) && config.ISSUERS_DIR === undefined && config.AUTHORIZATION === 'off') {
    throw new Error(
      `HOST=${config.HOST} is not a loopback address. Without an identity provider this server answers everyone it can be reached by, ` +
        'so it listens on loopback only. Use HOST=127.0.0.1, or name the issuers of access tokens by ISSUERS_DIR, or AUTHORIZATION=embedded.',
    );
  }
  if (/^(?:0\.0\.0\.0|::)$/.test(config.HOST) && config.PUBLIC_URL === undefined) {
    throw new Error(
      `HOST=${config.HOST} is every address of this machine, so that links and the issuer of tokens need a name: set PUBLIC_URL.`,
    );
  }
  endWithBootstrap();
  // Until it listens nothing is in flight and what is stored is whole at any instant, so a start is simply left.
  let stop: () => void = () => process.exit(0);
  process.on('SIGTERM', () => stop());
  process.on('SIGINT', () => stop());
  console.error('firewatch: starting ...');
  const system = await buildSystem(config, { onProgress: progressBar('index') });
  const isDemo = config.SEED === 'demo' && isOnlyHere(config);
  if (isDemo && (await needsSeed(system))) await seed(system, progressBar('seed data'));
  if (config.SEED === 'demo' && !isDemo) console.error(NOT_SEEDED);
  const { authorization } = system;
  if (authorization !== undefined) await assertNoDemo(config, authorization);
  const demo = authorization === undefined ? [] : await openDemo(config, authorization);
  await system.cds.rehearse();
  const server = await listen(system.app, config);
  server.on('upgrade', (...asked) => system.sockets.upgrade(...asked));
  const unwatch = watchDaily(
    system.drift,
    system.ambient.now,
    (model) => system.log.event('model-drifted', { model }),
    (error) => system.log.failure('drift-failed', error),
  );
  const activity = openActivity({ ...system, newId: system.ambient.newId });
  let draining = false;
  const drain = async (): Promise<void> => {
    if (draining) return;
    draining = true;
    system.setListening(false);
    unwatch();
    system.sockets.close();
    await closeGracefully(server, config.DRAIN_MS);
    await activity.stopped();
    await system.close();
    process.exit(0);
  };
  stop = drain;
  await activity.started();
  system.setListening(true);
  console.log([welcome(system.url, isDemo, system.identify !== undefined), ...demo].join('\n'));
}

/** From the first moment: a bootstrap that is killed while the server starts must not leave it behind either. What was acknowledged is on disk. */
function endWithBootstrap(): void {
  if (process.connected === false) process.exit(1);
  process.on('disconnect', () => process.exit(1));
}

const NOT_SEEDED =
  'firewatch: SEED=demo loads no synthetic patients here, since others can reach this server by HOST or PUBLIC_URL; SEED=none says so without this line.';

/** What a newcomer sees: base URLs and three requests that work. */
function welcome(base: string, seeded: boolean, needsToken: boolean): string {
  const lines = [
    '',
    `Firewatch is ready.   FHIR ${base}/fhir   CDS Hooks ${base}/cds-services   health ${base}/health/ready`,
    needsToken
      ? `Every FHIR request needs an access token: ${base}/fhir/.well-known/smart-configuration`
      : 'No identity provider is configured: this server answers on loopback only and permits everything to whoever reaches it.',
  ];
  if (!seeded || needsToken) return lines.join('\n');
  return [
    ...lines,
    '',
    'Try (synthetic patients):',
    '1. A hook call that returns a card: a macrolide is ordered for a patient who takes simvastatin.',
    `curl -s ${base}/cds-services/drug-interactions-sign -H 'content-type: application/json' -d '${HOOK_CALL}'`,
    '2. A FHIR search: the newest heart rates of a patient with early sepsis.',
    `curl -s '${base}/fhir/Observation?patient=demo-sepsis&code=http://loinc.org%7C8867-4&_sort=-date&_count=3'`,
    '3. The AuditEvents that those two left behind.',
    `curl -s '${base}/fhir/AuditEvent?patient=demo-polypharmacy,demo-sepsis&_sort=-date&_count=5'`,
  ].join('\n');
}

const HOOK_CALL = JSON.stringify({
  hook: 'order-sign',
  hookInstance: 'd1577c69-dfbe-44ad-ba6d-3e05e953b2ea',
  context: {
    userId: 'Practitioner/demo-physician',
    patientId: 'demo-polypharmacy',
    draftOrders: {
      resourceType: 'Bundle',
      type: 'collection',
      entry: [
        {
          resource: {
            resourceType: 'MedicationRequest',
            id: 'draft-1',
            status: 'draft',
            intent: 'order',
            subject: { reference: 'Patient/demo-polypharmacy' },
            medicationCodeableConcept: {
              coding: [
                { system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '21212', display: 'clarithromycin' },
              ],
              text: 'Clarithromycin 500 mg oral tablet',
            },
          },
        },
      ],
    },
  },
});
