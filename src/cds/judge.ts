/** What a service's engine makes of what was gathered: scores of models, or findings of the drug check. Failures are part of the answer, never thrown. */
import type { HookAccess } from '../audit.ts';
import type { Ambient, RestContext } from '../rest/context.ts';
import type { Assessment, Models } from '../risk/assessment.ts';
import type { DrugSafety, Finding } from '../risk/finding.ts';
import type { BuiltCard } from './card.ts';
import type { Frame } from './card-frame.ts';
import { within } from './deadline.ts';
import { type DraftOrder, withMedication } from './draft-orders.ts';
import { failedCheckCard, findingCards } from './finding-card.ts';
import type { Prefetched } from './prefetch.ts';
import { type Scored, scoreCards } from './score-card.ts';
import type { DrugSafetyEngine, ScoresEngine } from './service.ts';

export interface Engines {
  readonly models: Models;
  readonly drugSafety: DrugSafety;
  readonly context: RestContext;
  readonly ambient: Ambient;
}

/** What cards stand on: kept in the decision record. */
export interface Basis {
  readonly assessments: readonly Assessment[];
  readonly findings: readonly Finding[];
}
export const NO_BASIS: Basis = { assessments: [], findings: [] };

/** What the judging of one call gives. */
export interface Judged {
  readonly cards: readonly BuiltCard[];
  readonly model: HookAccess['model'];
  readonly basis: Basis;
  readonly failed: boolean;
  readonly remarks: readonly string[];
}

/** Every model that answers in time; the others are left out and recorded. */
export async function judgeScores(
  frame: Frame,
  engine: ScoresEngine,
  { patient, resources }: Prefetched,
  deadlineAt: number,
  requestId: string,
  { models, ambient, context }: Engines,
): Promise<Judged> {
  const evidence = { patient, resources, at: frame.at };
  const answers = await Promise.all(
    engine.models.map(async (id): Promise<Scored | undefined> => {
      const manifest = models.manifests.get(id);
      const run = async () => {
        try {
          return await models.assess(id, evidence, deadlineAt);
        } catch (error) {
          context.report(error, requestId);
          return undefined;
        }
      };
      const assessment = await within(run(), deadlineAt - ambient.now(), undefined);
      return manifest === undefined || assessment === undefined ? undefined : { manifest, assessment };
    }),
  );
  const scored = answers.filter((answer) => answer !== undefined);
  const silent = engine.models.length - scored.length;
  const stoodIn = scored.filter(({ assessment }) => assessment.answeredBy === 'fallback').length;
  return {
    cards: scoreCards(frame, engine, scored),
    model: scored[0]?.assessment.model,
    basis: { assessments: scored.map(({ assessment }) => assessment), findings: [] },
    failed: silent > 0,
    remarks: [
      ...scored.map(({ assessment: { model } }) => `${model.id}@${model.version}`),
      ...(silent > 0 ? [`${silent} models did not answer`] : []),
      ...(stoodIn > 0 ? [`${stoodIn} answered by fallback`] : []),
    ],
  };
}

/** One check of the selected orders against everything known; when it fails a card says so. */
export function judgeOrders(
  frame: Frame,
  engine: DrugSafetyEngine,
  { resources, index }: Prefetched,
  received: readonly DraftOrder[],
  requestId: string,
  { drugSafety, context }: Engines,
): Judged {
  const { knowledge } = drugSafety;
  const orders = received.map((order) => ({ ...order, resource: withMedication(order.resource, index) }));
  const own = new Set(orders.map(({ resource }) => `${resource.resourceType}/${resource.id}`));
  const others = resources.filter(({ resourceType, id }) => !own.has(`${resourceType}/${id}`));
  const model = { id: 'drug-safety', version: knowledge.version, sha256: knowledge.sha256 };
  try {
    const drafts = orders.map(({ resource }) => resource);
    const checked = drugSafety.check(drafts, others, frame.at);
    const cards = findingCards(frame, engine, checked, orders, knowledge);
    return { cards, model, basis: { assessments: [], findings: checked.findings }, failed: false, remarks: [] };
  } catch (error) {
    context.report(error, requestId);
    const cards = failedCheckCard(frame, orders.length);
    return { cards, model, basis: NO_BASIS, failed: true, remarks: ['drug check failed'] };
  }
}
