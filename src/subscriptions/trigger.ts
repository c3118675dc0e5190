/** Whether a change triggers a subscription. Source: FHIR R4 subscription.html (criteria); R5 subscriptiontopic.html (resourceTrigger, canFilterBy). */
import { criterionOf } from '../fhir/path/fhirpath.ts';
import type { Resource } from '../fhir/resource.ts';
import type { IndexEntry } from '../fhir/search/algebra.ts';
import { type Subject, satisfies } from '../fhir/search/satisfies.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { ResourceStore, StoredVersion } from '../store/port.ts';
import type { Criteria } from './criteria.ts';
import type { Understood } from './subscription.ts';
import type { Absent, ChangeKind, ResourceTrigger } from './topic.ts';

export interface ChangeContext {
  readonly store: Pick<ResourceStore, 'read'>;
  indexEntries(resource: Resource): readonly IndexEntry[];
}

/** One side of a change. */
interface Side extends Subject {
  readonly resource: Resource;
}

/** FHIRPath steps of one change of one topic. */
const STEPS = 20_000;

/** One change of the feed; what is needed of it is read, parsed and indexed once, when first asked. */
export class Change {
  readonly version: StoredVersion;
  readonly #context: ChangeContext;
  #current: Side | undefined;
  #previous: Promise<Side | undefined> | undefined;

  constructor(version: StoredVersion, context: ChangeContext) {
    this.version = version;
    this.#context = context;
  }

  get type(): string {
    return this.version.key.type;
  }

  current(): Side | undefined {
    this.#current ??= this.#sideOf(this.version);
    return this.#current;
  }

  previous(): Promise<Side | undefined> {
    const { key, version } = this.version;
    this.#previous ??=
      version === 1
        ? Promise.resolve(undefined)
        : this.#context.store.read(key, version - 1).then((held) => held && this.#sideOf(held));
    return this.#previous;
  }

  /** A resource that comes back after its deletion is created. */
  async kind(): Promise<ChangeKind> {
    if (this.version.deleted) return 'delete';
    return (await this.previous()) === undefined ? 'create' : 'update';
  }

  #sideOf({ key, at, text }: StoredVersion): Side | undefined {
    if (text === undefined) return undefined;
    const resource = storedResource(text);
    return { type: key.type, id: key.id, at, resource, entries: this.#context.indexEntries(resource) };
  }
}

/** Whether the subscription has an event of this change. */
export async function triggers({ trigger }: Understood, change: Change): Promise<boolean> {
  if (trigger.kind === 'criteria') return holds(trigger.criteria, change.current());
  const ofType = trigger.topic.triggers.filter(({ type }) => type === change.type);
  if (ofType.length === 0) return false;
  const kind = await change.kind();
  const judged = await Promise.all(ofType.map((each) => fires(each, kind, change)));
  if (!judged.includes(true)) return false;
  const side = change.current() ?? (await change.previous());
  return trigger.filters.every((filter) => filter.type !== change.type || holds(filter, side));
}

/** Types whose changes can trigger it. */
export function typesOf({ trigger }: Understood): ReadonlySet<string> {
  return trigger.kind === 'criteria'
    ? new Set([trigger.criteria.type])
    : new Set(trigger.topic.triggers.map(({ type }) => type));
}

function holds({ type, where }: Criteria, side: Side | undefined): boolean {
  return side !== undefined && side.type === type && satisfies(where, side);
}

/** Both kinds of criteria must hold where a topic gives both. */
async function fires(trigger: ResourceTrigger, kind: ChangeKind, change: Change): Promise<boolean> {
  if (!trigger.interactions.has(kind)) return false;
  const [before, now] = [await change.previous(), change.current()];
  const tests = [
    tested(trigger.previous, before, kind === 'create' ? trigger.resultForCreate : undefined),
    tested(trigger.current, now, kind === 'delete' ? trigger.resultForDelete : undefined),
  ].filter((result) => result !== undefined);
  const byQuery = trigger.requireBoth ? !tests.includes(false) : tests.length === 0 || tests.includes(true);
  if (!byQuery || trigger.fhirPath === undefined) return byQuery;
  return criterion(trigger.fhirPath)(before?.resource, now?.resource, { steps: STEPS });
}

/** undefined: nothing is asked. */
function tested(
  criteria: Criteria | undefined,
  side: Side | undefined,
  absent: Absent | undefined,
): boolean | undefined {
  if (criteria === undefined) return undefined;
  return absent === undefined ? holds(criteria, side) : absent === 'test-passes';
}

const compiled = new Map<string, ReturnType<typeof criterionOf>>();

function criterion(expression: string): ReturnType<typeof criterionOf> {
  const known = compiled.get(expression) ?? criterionOf(expression);
  compiled.set(expression, known);
  return known;
}
