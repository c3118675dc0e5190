/**
 * The Consents of a store as each thread holds them: read once, then only what was written since, asked for whenever the stamp of the store has
 * changed. A request that begins after a Consent was answered is judged by it, on every thread. A Consent is the person's, so the links of
 * Patients are held in the same way, as soon as any Consent may deny something.
 */
import { PATIENT, PATIENT_LINK } from '../fhir/search/person.ts';
import { unfilteredPlan } from '../fhir/search/plan.ts';
import { localReference } from '../fhir/search/value.ts';
import type { RestContext } from '../rest/context.ts';
import { linksOf } from '../rest/interactions/patient-links.ts';
import { storedResource } from '../rest/wire/represent.ts';
import type { ResourceStore, StoredVersion } from '../store/port.ts';
import { type ConsentRule, mayDeny, type Provision, ruleOf } from './consent-rule.ts';

/** The rules in force from one instant to another. */
export interface ConsentState {
  /** Another number for other rules. */
  readonly version: number;
  /** ms since 1970. */
  readonly now: number;
  /** When a period begins or ends next, ms since 1970. */
  readonly until: number;
  /** Patients whose Consents say the same, together. */
  readonly rules: readonly { readonly root: Provision; readonly patients: readonly string[] }[];
  /** Whether any names an organisation, a team or a role: then it must be asked who belongs to them. */
  readonly namesGroups: boolean;
}

/** How far a type was read. */
interface Mark {
  /** ms since 1970. */
  readonly at: number;
  readonly sequence: number;
}

const CONSENT = 'Consent';
const PAGE = 200;
const GROUP = /^(?:Organization|CareTeam|Group|PractitionerRole)\//;

export class HeldConsents {
  readonly #store: ResourceStore;
  readonly #fhirBase: string;
  readonly #site: Provision | undefined;
  readonly #rules = new Map<string, ConsentRule>();
  #read: Mark | undefined;
  #stamp: number | undefined;
  /** Id of a Patient -> those it links to. Patients without links are left out. */
  readonly #links = new Map<string, readonly string[]>();
  #linksRead: Mark | undefined;
  #state: ConsentState | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param site what holds where no Consent permits; when it denies anything, Consents that only permit are asked for too */
  constructor(store: ResourceStore, fhirBase: string, site?: Provision) {
    this.#store = store;
    this.#fhirBase = fhirBase;
    this.#site = site;
  }

  /** As it was known last; undefined when nothing was ever read. */
  get held(): ConsentState | undefined {
    return this.#state;
  }

  /** As of every commit that was answered before this was called; undefined: it must be read. @param now ms since 1970 */
  known(now: number): ConsentState | undefined {
    return this.#state !== undefined && this.#isRead() && now < this.#state.until ? this.#state : undefined;
  }

  /** The same, read when it must be. @param now ms since 1970 */
  async current(now: number): Promise<ConsentState> {
    const known = this.known(now);
    if (known !== undefined) return known;
    // One after the other: what one has begun to read may miss what another must not.
    const turn = this.#turn.then(() => this.#refreshed(now));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #isRead(): boolean {
    return this.#read !== undefined && this.#stamp !== undefined && this.#stamp === this.#store.stamp();
  }

  async #refreshed(now: number): Promise<ConsentState> {
    // Taken before anything is read.
    const stamp = this.#store.stamp() ?? (await this.#store.askedStamp([CONSENT, PATIENT]));
    const isRead = this.#read !== undefined && stamp !== undefined && stamp === this.#stamp;
    const isChanged = isRead ? false : await this.#readNew(stamp);
    const state = this.#state;
    if (state !== undefined && !isChanged && now < state.until) return state;
    this.#state = this.#stateAt(now, (state?.version ?? 0) + 1);
    return this.#state;
  }

  /** @returns whether any rule has changed, or whom it is about */
  async #readNew(stamp: number | undefined): Promise<boolean> {
    const { seen, mark } = await this.#newVersions(CONSENT, this.#read);
    let isChanged = false;
    for (const [id, { text }] of seen) {
      const rule =
        text === undefined
          ? undefined
          : ruleOf(storedResource(text), (reference) => localReference(reference, this.#fhirBase));
      isChanged ||= rule !== undefined || this.#rules.has(id);
      if (rule === undefined) this.#rules.delete(id);
      else this.#rules.set(id, rule);
    }
    this.#read = mark;
    const isLinked = [...this.#rules.values()].some(({ root }) => this.#isAsked(root)) && (await this.#readLinks());
    this.#stamp = stamp;
    return isChanged || isLinked;
  }

  /** @returns whether any link has changed */
  async #readLinks(): Promise<boolean> {
    if (this.#linksRead === undefined) {
      // Before the search: what is written meanwhile is read again.
      const [newest] = (await this.#store.history({ type: PATIENT }, { count: 1 })).matches;
      for await (const version of this.#linkedPatients()) this.#setLinks(version);
      this.#linksRead = { at: newest?.at ?? 0, sequence: newest?.sequence ?? 0 };
      return true;
    }
    const { seen, mark } = await this.#newVersions(PATIENT, this.#linksRead);
    let isChanged = false;
    for (const version of seen.values()) isChanged = this.#setLinks(version) || isChanged;
    this.#linksRead = mark;
    return isChanged;
  }

  async *#linkedPatients(): AsyncIterable<StoredVersion> {
    const plan = unfilteredPlan(PATIENT, { kind: 'missing', parameter: PATIENT_LINK, missing: false });
    let after: string | undefined;
    do {
      const { matches, next } = await this.#store.search(plan, { count: PAGE, after });
      yield* matches;
      after = next;
    } while (after !== undefined);
  }

  #setLinks({ key: { id }, text }: StoredVersion): boolean {
    const links = text === undefined ? [] : linksOf(storedResource(text), this.#fhirBase);
    const isChanged = links.join() !== (this.#links.get(id) ?? []).join();
    if (links.length === 0) this.#links.delete(id);
    else this.#links.set(id, links);
    return isChanged;
  }

  /** The last version of each resource of a type that was written since. */
  async #newVersions(type: string, read: Mark | undefined) {
    const { at, sequence } = read ?? { at: undefined, sequence: 0 };
    const seen = new Map<string, StoredVersion>();
    let mark: Mark = { at: at ?? 0, sequence };
    let after: string | undefined;
    do {
      const { matches, next } = await this.#store.history({ type, since: at }, { count: PAGE, after });
      for (const version of matches.filter((each) => each.sequence > sequence)) {
        if (!seen.has(version.key.id)) seen.set(version.key.id, version);
        if (version.sequence > mark.sequence) mark = { at: version.at, sequence: version.sequence };
      }
      after = next;
    } while (after !== undefined);
    return { seen, mark };
  }

  #isAsked(root: Provision): boolean {
    return mayDeny(root) || (this.#site !== undefined && mayDeny(this.#site));
  }

  #stateAt(now: number, version: number): ConsentState {
    const alike = new Map<string, { readonly root: Provision; readonly patients: Set<string> }>();
    const neighbours = bothWays(this.#links);
    const site = this.#site === undefined ? [] : [this.#site];
    let until = Math.min(...site.flatMap(instantsOf).filter((instant) => instant > now));
    for (const { patient, from, root } of this.#rules.values()) {
      for (const instant of [from, ...instantsOf(root)]) if (instant > now) until = Math.min(until, instant);
      if (from > now || !this.#isAsked(root)) continue;
      const key = JSON.stringify(root);
      const known = alike.get(key) ?? { root, patients: new Set() };
      for (const id of joinedTo(patient, neighbours)) known.patients.add(id);
      alike.set(key, known);
    }
    const rules = [...alike.values()].map(({ root, patients }) => ({ root, patients: [...patients].toSorted() }));
    const namesGroups = [...site, ...rules.map(({ root }) => root)].some((root) => actorsOf(root).some(isGroup));
    return { version, now, until, rules, namesGroups };
  }
}

/** Links say that both records are one person, whichever of them says so. */
function bothWays(links: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  const add = (from: string, to: string): void => {
    const known = found.get(from) ?? [];
    known.push(to);
    found.set(from, known);
  };
  for (const [id, others] of links)
    for (const other of others)
      for (const way of [
        [id, other],
        [other, id],
      ] as const)
        add(...way);
  return found;
}

/** A record and all that are joined to it. */
function joinedTo(id: string, neighbours: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const found = new Set([id]);
  for (const each of found) for (const other of neighbours.get(each) ?? []) found.add(other);
  return found;
}

const isGroup = (actor: string): boolean => GROUP.test(actor);
const actorsOf = ({ actors, exceptions }: Provision): readonly string[] => [
  ...actors.flatMap(({ names }) => names),
  ...exceptions.flatMap(actorsOf),
];
const instantsOf = ({ period, exceptions }: Provision): readonly number[] => [
  ...period,
  ...exceptions.flatMap(instantsOf),
];

const indexes = new WeakMap<ResourceStore, Map<Provision | undefined, HeldConsents>>();

/** The one of a store and a site, on this thread. */
export function heldConsentsOf({
  store,
  settings,
  policy,
}: Pick<RestContext, 'store' | 'settings' | 'policy'>): HeldConsents {
  const site = policy?.consentDefault;
  const ofStore = indexes.get(store) ?? new Map<Provision | undefined, HeldConsents>();
  const known = ofStore.get(site) ?? new HeldConsents(store, settings.fhirBase, site);
  indexes.set(store, ofStore.set(site, known));
  return known;
}
