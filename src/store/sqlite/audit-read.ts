/**
 * AuditEvents out of audit rows: read, search and count. Their order is the chain's; `at` never decreases along it, so dates are key ranges. Where
 * a move has brought several chains, each is asked by itself and the answers are merged by instant, then chain and place.
 */
import type { RenderAuditEvent } from '../../audit.ts';
import type { Predicate, SearchPlan } from '../../fhir/search/algebra.ts';
import { and, NONE, not, or } from '../../fhir/search/simplify.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import { type Page, type SearchResult, type StoredVersion, StoreError } from '../port.ts';
import { CHAIN, chainsOf, HAS } from './audit.ts';
import { HOME } from './audit-home.ts';
import { isUpdated, oneOf } from './leaf.ts';
import { CHAIN_SPAN } from './schema.ts';
import type { Searcher } from './search.ts';
import { join, raw, type Sql, type Statements, sql } from './sql.ts';

const DATE = 'AuditEvent.date';
const PATIENT = 'AuditEvent.patient';
const ENTITY = 'AuditEvent.entity';
const ID = /^([1-9]\d{0,3})-([1-9]\d{0,12})-([1-9]\d{0,8})$/;

interface EventKey {
  readonly key: number;
  readonly event: number;
}
interface Order {
  readonly descending: boolean;
  readonly after: EventKey | undefined;
  readonly chain: number;
}

/** Most resources a chain may lead to: each is looked up in the log. */
const CHAIN_LIMIT = 200;

/** The values of a select without their column's affinity: with one, SQLite would not look them up in `audit_index.value`, which has none. */
function plain(select: Sql): Sql {
  return sql`WITH found(value) AS (${select}) SELECT +value FROM found`;
}

function parseId(id: string): EventKey | undefined {
  const found = ID.exec(id);
  if (found === null) return undefined;
  const sequence = Number(found[2]);
  return sequence < CHAIN_SPAN ? { key: Number(found[1]) * CHAIN_SPAN + sequence, event: Number(found[3]) } : undefined;
}

export class AuditReader {
  readonly #statements: Statements;
  readonly #searcher: Searcher;
  readonly #render: RenderAuditEvent;

  constructor(statements: Statements, searcher: Searcher, render: RenderAuditEvent) {
    this.#statements = statements;
    this.#searcher = searcher;
    this.#render = render;
  }

  read(id: string): StoredVersion | undefined {
    const key = parseId(id);
    return key === undefined ? undefined : this.#event(key);
  }

  #event({ key, event }: EventKey): StoredVersion | undefined {
    const row = this.#statements.get(sql`SELECT at, form, events, bytes, erasable FROM audit WHERE key=${key}`);
    if (row === undefined || event > Number(row[2])) return undefined;
    const [chain, sequence, at] = [Math.floor(key / CHAIN_SPAN), key % CHAIN_SPAN, Number(row[0])];
    const patients = new Set<string>();
    const patientOf = (subject: string): string | undefined => {
      const patient = this.#statements.text(sql`SELECT patient FROM subject WHERE key=${subject}`);
      if (patient !== undefined) patients.add(patient);
      return patient;
    };
    const erasable = typeof row[4] === 'string' ? row[4] : undefined;
    const stored = { chain, sequence, at, form: Number(row[1]), bytes: String(row[3]), erasable, patientOf };
    const text = this.#render(stored, event);
    const id = `${chain}-${sequence}-${event}`;
    return {
      key: { type: 'AuditEvent', id },
      version: 1,
      sequence,
      at,
      method: 'POST',
      deleted: false,
      text,
      patients: [...patients],
    };
  }

  search(plan: SearchPlan, page: Page): SearchResult {
    this.#searcher.start();
    const bound = JSON.stringify([plan.type, plan.sort, plan.principal]);
    const after = page.after === undefined ? undefined : decodeCursor(bound, page.after, 2);
    const cursor = after && { key: Number(after[0]), event: Number(after[1]) };
    const found = this.#merged(this.#resolved(plan.where), isDescending(plan), cursor, page.count + 1);
    const kept = found.slice(0, page.count);
    const last = kept.at(-1);
    return {
      matches: kept.map((key) => this.#event(key)).filter((version) => version !== undefined),
      next: found.length > page.count && last ? encodeCursor(bound, [last.key, last.event]) : undefined,
    };
  }

  #merged(where: Predicate, descending: boolean, after: EventKey | undefined, limit: number): readonly EventKey[] {
    const chains = this.#chains();
    const [only] = chains;
    if (only !== undefined && chains.length === 1) return this.#keys(where, { descending, after, chain: only }, limit);
    const way = descending ? -1 : 1;
    return chains
      .flatMap((chain) =>
        this.#keys(where, { descending, after: this.#within(chain, after, descending), chain }, limit),
      )
      .map((key) => ({ ...key, at: this.#at(key.key) }))
      .sort((a, b) => way * (a.at - b.at || a.key - b.key || a.event - b.event))
      .slice(0, limit);
  }

  /** The place in a chain that a place in another stands for: just before the first event of the chain that comes after it. */
  #within(chain: number, after: EventKey | undefined, descending: boolean): EventKey | undefined {
    const own = after && Math.floor(after.key / CHAIN_SPAN);
    if (after === undefined || own === undefined || own === chain) return after;
    const at = this.#at(after.key);
    // Of one instant the lower chain is first; descending it is last.
    const edge = this.#firstKey(chain > own ? at : at + 1, chain);
    return descending ? { key: edge, event: 0 } : { key: edge - 1, event: Number.MAX_SAFE_INTEGER };
  }

  #at(key: number): number {
    return this.#statements.number(sql`SELECT at FROM audit WHERE key=${key}`) ?? 0;
  }

  #chains(): readonly number[] {
    const chains = chainsOf(this.#statements);
    return chains.length === 0 ? [CHAIN] : chains;
  }

  /** Type history: every AuditEvent has one version; newest first. */
  history(low: number | undefined, high: number | undefined, page: Page): SearchResult {
    const where: Predicate[] = [];
    if (low !== undefined) where.push({ kind: 'interval', parameter: DATE, relation: 'ge', low, high: low });
    if (high !== undefined)
      where.push({ kind: 'interval', parameter: DATE, relation: 'lt', low: high + 1, high: high + 1 });
    const newest = [{ parameter: DATE, indexed: 'date', descending: true }] as const;
    return this.search({ type: 'AuditEvent', where: { kind: 'and', of: where }, sort: newest, principal: '' }, page);
  }

  count({ where }: SearchPlan): number {
    this.#searcher.start();
    const resolved = this.#resolved(where);
    const each = this.#chains().map((chain) => {
      const order = { descending: false, after: undefined, chain };
      return this.#statements.number(sql`SELECT count(*) FROM (${this.#select(resolved, order)})`) ?? 0;
    });
    return each.reduce((sum, one) => sum + one, 0);
  }

  /**
   * Chains as references to what they lead to. Nothing contained is indexed here, so what asks for it goes.
   * @throws StoreError `refused` for a chain to more than CHAIN_LIMIT resources, `_has`, and identifiers that are rendered but not indexed
   */
  #resolved(where: Predicate): Predicate {
    switch (where.kind) {
      case 'and':
        return and(where.of.map((child) => this.#resolved(child)));
      case 'or':
        return or(where.of.map((child) => this.#resolved(child)));
      case 'not':
        return not(this.#resolved(where.of));
      case 'chain':
        return { kind: 'reference', parameter: where.parameter, targets: this.#ends(where) };
      case 'has':
      case 'composite':
        throw new StoreError('refused', `A ${where.kind} over AuditEvent is not supported.`);
      case 'token':
        if (/:contained(?::|$)/.test(where.parameter)) return NONE;
        if (where.parameter === `${PATIENT}:identifier` || where.parameter === `${ENTITY}:identifier`) {
          const code = where.parameter.slice('AuditEvent.'.length);
          throw new StoreError('refused', `\`${code}\` of AuditEvents is not indexed; use a reference or a chain.`);
        }
        return where;
      default:
        return 'parameter' in where && where.parameter.includes(':contained:') ? NONE : where;
    }
  }

  #ends({ type, where }: Extract<Predicate, { kind: 'chain' }>): readonly string[] {
    const { planner } = this.#searcher;
    const driven = planner.drive(where, type, CHAIN_LIMIT);
    if (driven === undefined) throw this.#searcher.refused(`A chain leads to more than ${CHAIN_LIMIT} ${type}.`);
    const ids = sql`SELECT DISTINCT x.id FROM (${planner.exact(driven, type)}) t CROSS JOIN resource x ON x.rid=t.rid`;
    return this.#statements.all(ids).map(([id]) => `${type}/${String(id)}`);
  }

  #keys(where: Predicate, order: Order, limit: number): readonly EventKey[] {
    const way = raw(order.descending ? 'DESC' : 'ASC');
    const query = sql`${this.#select(where, order)} ORDER BY e.key ${way}, e.event ${way} LIMIT ${limit}`;
    return this.#statements.all(query).map(([key, event]) => ({ key: Number(key), event: Number(event) }));
  }

  /** From the smallest posting list when there is a small one, else along the chain. Postings and chain are both in key order. */
  #select(where: Predicate, order: Order): Sql {
    const { after, chain } = order;
    const comparison = raw(order.descending ? '<' : '>');
    const beyond = after === undefined ? raw('1') : sql`(e.key, e.event) ${comparison} (${after.key}, ${after.event})`;
    const condition = this.#condition(where, chain);
    const posting = this.#posting(where);
    if (posting === undefined) {
      return sql`SELECT e.key, e.event FROM audit_event e WHERE ${this.#range(where, order)} AND tick() AND ${beyond} AND ${condition}`;
    }
    return sql`SELECT e.key, e.event FROM (SELECT DISTINCT key, event FROM (${posting})) p CROSS JOIN audit_event e ON e.key=p.key AND e.event=p.event WHERE e.key >= ${chain * CHAIN_SPAN} AND e.key < ${(chain + 1) * CHAIN_SPAN} AND ${beyond} AND ${condition}`;
  }

  /** The stretch of the chain that a walk must visit: within the searched dates and beyond the cursor. One range, since SQLite seeks by one. */
  #range(where: Predicate, { after, descending, chain }: Order): Sql {
    let [low, high] = [chain * CHAIN_SPAN, (chain + 1) * CHAIN_SPAN];
    if (after !== undefined) {
      if (descending) high = after.key + 1;
      else low = after.key;
    }
    for (const child of where.kind === 'and' ? where.of : [where]) {
      if (child.kind !== 'interval' || !isDate(child.parameter)) continue;
      const [first, last] = [Math.min(child.low, child.high), Math.max(child.low, child.high)];
      if (['eq', 'ap', 'ge'].includes(child.relation)) low = Math.max(low, this.#firstKey(first, chain));
      if (['gt', 'sa'].includes(child.relation)) low = Math.max(low, this.#firstKey(child.high, chain));
      if (['eq', 'ap', 'le'].includes(child.relation)) high = Math.min(high, this.#firstKey(last, chain));
      if (['lt', 'eb'].includes(child.relation)) high = Math.min(high, this.#firstKey(child.low, chain));
    }
    return sql`e.key >= ${low} AND e.key < ${high}`;
  }

  #posting(where: Predicate): Sql | undefined {
    const limit = this.#searcher.collectLimit;
    const candidates = (where.kind === 'and' ? where.of : [where]).flatMap((child) => this.#postings(child));
    return candidates.find((posting) => this.#searcher.planner.probe(posting, limit) <= limit);
  }

  #postings(where: Predicate): readonly Sql[] {
    if (where.kind === 'or') {
      const each = where.of.map((child) => this.#postings(child)[0]);
      return each.every((one) => one !== undefined) ? [join(each, ' UNION ALL ', '')] : [];
    }
    if (where.kind === 'none') return [raw('SELECT 0 AS key, 0 AS event WHERE 0')];
    if (where.kind === 'ids') {
      const keys = where.ids.map(parseId).filter((key) => key !== undefined);
      const pairs = JSON.stringify(keys.map(({ key, event }) => [key, event]));
      return [sql`SELECT value->>0 AS key, value->>1 AS event FROM json_each(${pairs})`];
    }
    if (where.kind === 'reference' && (where.parameter === PATIENT || where.parameter === ENTITY)) {
      return [this.#referencePosting(where)];
    }
    const facets = this.#facets(where);
    if (facets === undefined) return [];
    return [
      sql`SELECT key, event FROM audit_index WHERE home IN (${HOME.kind}, ${HOME.agents}) AND value IN (${plain(facets)})`,
    ];
  }

  #referencePosting({ parameter, targets }: Extract<Predicate, { kind: 'reference' }>): Sql {
    const patients = targets.filter((target) => target.startsWith('Patient/')).map((target) => target.slice(8));
    const others = parameter === ENTITY ? targets.filter((target) => !target.startsWith('Patient/')) : [];
    const ids = sql`SELECT id FROM subject WHERE patient IS NOT NULL AND ${oneOf(raw('patient'), patients)}`;
    const subjects = sql`SELECT key, event FROM audit_index WHERE home=${HOME.subject} AND value IN (${plain(ids)})`;
    if (others.length === 0) return subjects;
    const entities = sql`SELECT key, event FROM audit_index WHERE home=${HOME.entity} AND ${oneOf(raw('value'), others)}`;
    return patients.length === 0 ? entities : sql`${subjects} UNION ALL ${entities}`;
  }

  /** Facets that satisfy a leaf; undefined for predicates that no facet answers. */
  #facets(where: Predicate): Sql | undefined {
    switch (where.kind) {
      case 'token':
      case 'string':
      case 'reference':
      case 'uri':
      case 'quantity':
        return this.#searcher.planner.leaves.seek(where);
      case 'interval':
        return isDate(where.parameter) ? undefined : this.#searcher.planner.leaves.seek(where);
      default:
        return undefined;
    }
  }

  #condition(where: Predicate, chain: number): Sql {
    switch (where.kind) {
      case 'all':
        return raw('1');
      case 'none':
        return raw('0');
      case 'ids':
        return sql`(e.key, e.event) IN (${join(this.#postings(where), ' UNION ALL ', '')})`;
      case 'and':
      case 'or': {
        const pieces = where.of.map((child) => this.#condition(child, chain));
        return where.kind === 'and' ? sql`(${join(pieces, ' AND ', '1')})` : sql`(${join(pieces, ' OR ', '0')})`;
      }
      case 'not':
        return sql`NOT (${this.#condition(where.of, chain)})`;
      case 'missing':
        return where.missing ? sql`NOT (${this.#present(where.parameter)})` : this.#present(where.parameter);
      case 'chain':
      case 'has':
      case 'composite':
        throw new TypeError(`A ${where.kind} is resolved before.`);
      default:
        return this.#leaf(where, chain);
    }
  }

  #leaf(where: Extract<Predicate, { parameter: string }>, chain: number): Sql {
    if (where.kind === 'interval' && isDate(where.parameter)) return this.#during(where, chain);
    if (where.kind === 'reference' && (where.parameter === PATIENT || where.parameter === ENTITY)) {
      return sql`(e.key, e.event) IN (${this.#referencePosting(where)})`;
    }
    const facets = this.#facets(where) ?? raw('SELECT 0 WHERE 0');
    return sql`(e.kind IN (${facets}) OR e.agents IN (${facets}))`;
  }

  #present(parameter: string): Sql {
    if (isDate(parameter)) return raw('1');
    if (parameter === PATIENT) return sql`(e.has & ${HAS.subject}) > 0`;
    if (parameter === ENTITY) return raw('e.has > 0');
    const number = this.#searcher.planner.leaves.parameter(parameter);
    return sql`EXISTS(SELECT 1 FROM entry WHERE rid IN (e.kind, e.agents) AND parameter=${number})`;
  }

  /** recorded is the instant [at, at + 1). */
  #during({ relation, low, high }: Extract<Predicate, { kind: 'interval' }>, chain: number): Sql {
    const since = (at: number): Sql => sql`e.key >= ${this.#firstKey(at, chain)}`;
    const until = (at: number): Sql => sql`e.key < ${this.#firstKey(at, chain)}`;
    switch (relation) {
      case 'eq':
      case 'ap':
        return sql`(${since(low)} AND ${until(high)})`;
      case 'ne':
        return sql`(${until(low)} OR ${since(high)})`;
      case 'gt':
      case 'sa':
        return since(high);
      case 'ge':
        return since(Math.min(low, high));
      case 'lt':
      case 'eb':
        return until(low);
      case 'le':
        return until(Math.max(low, high));
      default:
        throw new TypeError(`Unknown relation ${String(relation satisfies never)}`);
    }
  }

  /** Smallest key of a chain whose `at` is not before `instant`: bisection, since `at` never decreases along it. */
  #firstKey(instant: number, chain: number): number {
    let low = chain * CHAIN_SPAN + 1;
    const end = (chain + 1) * CHAIN_SPAN;
    let high =
      (this.#statements.number(sql`SELECT max(key) FROM audit WHERE key >= ${low} AND key < ${end}`) ?? low - 1) + 1;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const at = this.#statements.number(sql`SELECT at FROM audit WHERE key=${middle}`) ?? 0;
      if (at >= instant) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function isDate(parameter: string): boolean {
  return parameter === DATE || isUpdated(parameter);
}

/** Only the chain's own order can be asked for. */
function isDescending({ sort }: SearchPlan): boolean {
  const [first] = sort;
  if (first === undefined) return false;
  if (first.indexed === 'updated' || first.indexed === 'id' || isDate(first.parameter)) return first.descending;
  throw new StoreError('refused', 'AuditEvents are sorted by `date`, `_lastUpdated` or `_id` only.');
}
