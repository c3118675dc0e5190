/** Models and scores as the operation `$evaluate` asks them. */
import type { Resource } from '../fhir/resource.ts';
import type { Assessment, Evidence, Manifest, Models } from './assessment.ts';
import { evaluationIdentity, evaluationProvenance } from './kept-evaluation.ts';
import { EVALUATION_SYSTEM } from './own-output.ts';
import { deviceOf, type Frame, HASH_SYSTEM, riskAssessment } from './risk-assessment.ts';
import { scoreObservations } from './scores/score-observation.ts';

/** Time that one model may take for one patient, ms; then its stand-in answers. */
const DEADLINE_MS = 2000;

/** What inputs and rules of eligibility are read from. */
const READS = [
  'Observation',
  'Condition',
  'Encounter',
  'MedicationRequest',
  'MedicationAdministration',
  'MedicationStatement',
  'Procedure',
  'ServiceRequest',
  'DiagnosticReport',
  'Specimen',
  'CarePlan',
  'Flag',
  'Goal',
];

/** Lets other requests be answered between two models: with thousands of Observations each takes some ms. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An assessment as it is answered, and how it is stored; what was not computed is not. */
function evaluation(
  assessment: Assessment,
  manifest: Manifest,
  frame: Frame,
  resources: readonly Resource[],
  newId: () => string,
  issuedAt: number,
) {
  const isComputed = Object.keys(assessment.outputs).length > 0;
  const identity = () => ({
    identifier: { system: EVALUATION_SYSTEM, value: evaluationIdentity(frame.subject, assessment) },
    sha256: { system: HASH_SYSTEM, code: manifest.sha256 },
    performer: deviceOf(manifest),
    provenance: evaluationProvenance(assessment, manifest, resources, issuedAt),
  });
  return {
    assessment: riskAssessment(assessment, manifest, frame),
    observations: scoreObservations(assessment, manifest, frame, newId, issuedAt),
    kept: isComputed ? identity() : undefined,
  };
}
type Evaluation = ReturnType<typeof evaluation>;

/** Models that need the site's attestation here and have none: not run, and that is said. */
export type Withheld = () => ReadonlySet<string>;
const NONE: ReadonlySet<string> = new Set();

const notAttested = ({ id, version, sha256 }: Manifest): Assessment => ({
  ...{ model: { id, version, sha256 }, answeredBy: 'model', outputs: {}, atLeast: false, band: undefined },
  ...{ used: [], missing: [], outsidePopulation: 'the site has not attested this model' },
});

/** The models as the operation `$evaluate` asks them; `now` in ms. */
export function riskDesk(models: Models, now: () => number, withheld: Withheld = () => NONE) {
  return {
    models: new Set(models.manifests.keys()),
    reads: READS,
    follows: ['Medication', 'Location'],
    async evaluate(
      ids: readonly string[],
      recorded: readonly (Evidence & { readonly patient: Resource })[],
      newId: () => string,
      issuedAt: number,
    ): Promise<readonly Evaluation[]> {
      const found = recorded.map((): Evaluation[] => []);
      for (const id of ids) {
        const manifest = models.manifests.get(id);
        if (manifest === undefined) continue;
        await breathe();
        // Asked in one turn: their inputs go into one run of the graph (`inlineSession`).
        const isWithheld = withheld().has(id);
        const assessed = await Promise.all(
          recorded.map(async (evidence) => ({
            ...evidence,
            assessment: isWithheld ? notAttested(manifest) : await models.assess(id, evidence, now() + DEADLINE_MS),
          })),
        );
        for (const [index, { patient, resources, at, assessment }] of assessed.entries()) {
          const frame = { id: newId(), subject: `Patient/${patient.id ?? ''}`, at };
          found[index]?.push(evaluation(assessment, manifest, frame, [patient, ...resources], newId, issuedAt));
        }
      }
      return found.flat();
    },
  };
}
