/** Liveness and readiness. Shape after draft-inadarei-api-health-check: status pass | warn | fail and checks. No PHI: fixed names and ids of models only. */

export type HealthStatus = 'pass' | 'warn' | 'fail';
export interface HealthCheck {
  /** `store`, `durability`, `disk`, `clock`, `listening`, `search-parameters`, `monitoring`, `monitoring:<rule>`, or `model:<id>|<version>`. */
  readonly name: string;
  readonly status: HealthStatus;
  /** A fixed word, never an error's message. */
  readonly reason?:
    | 'unavailable'
    | 'timeout'
    | 'loading'
    | 'failed'
    | 'draining'
    | 'not-attested'
    | 'drifted'
    | 'full'
    | 'clock-behind';
  /** How it is set, in the engine's own words. */
  readonly setting?: string;
  readonly observedValue?: number;
  readonly observedUnit?: '%' | 'changes' | 's';
}
export interface HealthReport {
  /** The worst of the checks. */
  readonly status: HealthStatus;
  readonly checks: readonly HealthCheck[];
}

export interface ModelHealth {
  readonly id: string;
  readonly version: string;
  /** drifted: it answers, but its inputs or its calibration are no longer those it was made for. */
  readonly state: 'ready' | 'loading' | 'failed' | 'drifted';
}
/** What the loader of models says of each, for readiness. */
export function modelHealth(
  status: readonly { readonly id: string; readonly version: string; readonly ready: boolean }[],
  degraded: ReadonlySet<string>,
): readonly ModelHealth[] {
  return status.map(({ id, version, ready: works }) => {
    return { id, version, state: !works ? 'failed' : degraded.has(id) ? 'drifted' : 'ready' };
  });
}
/** What readiness asks. */
export interface HealthSources {
  /** Resolves when the store reads and writes. */
  ping(): Promise<void>;
  models(): readonly ModelHealth[];
  /** False before listening and while draining. */
  listening(): boolean;
  /** How far the index of added search parameters is, while it is not whole. */
  indexing?(): { readonly percent: number; readonly failed: boolean } | undefined;
  /** Checks of rooms that run beside requests. */
  further?(): readonly HealthCheck[];
}

/** Longest wait for the store, ms. */
const PING_DEADLINE_MS = 1000;

/** The process answers. Never touches the store, so a full disk does not get a healthy process killed. */
export function live(): HealthReport {
  return { status: 'pass', checks: [] };
}

/** Whether requests should be sent here. Never rejects. A model that is not ready only warns: FHIR and rule-based cards still work. */
export async function ready(sources: HealthSources, deadlineMs: number = PING_DEADLINE_MS): Promise<HealthReport> {
  const checks = [
    await storeCheck(sources, deadlineMs),
    listeningCheck(sources),
    ...indexCheck(sources),
    ...(sources.further?.() ?? []),
    ...sources.models().map(modelCheck),
  ];
  return { status: worst(checks), checks };
}

async function storeCheck(sources: HealthSources, deadlineMs: number): Promise<HealthCheck> {
  const name = 'store';
  const answer = Promise.withResolvers<'pass' | 'unavailable' | 'timeout'>();
  const timer = setTimeout(() => answer.resolve('timeout'), deadlineMs);
  const ping = async (): Promise<void> => sources.ping(); // async: a throw is a refusal too
  ping().then(
    () => answer.resolve('pass'),
    () => answer.resolve('unavailable'),
  );
  const first = await answer.promise;
  clearTimeout(timer);
  return first === 'pass' ? { name, status: 'pass' } : { name, status: 'fail', reason: first };
}

function listeningCheck(sources: HealthSources): HealthCheck {
  const name = 'listening';
  return sources.listening() ? { name, status: 'pass' } : { name, status: 'fail', reason: 'draining' };
}

/** Only while there is something to say: everything else is searched meanwhile. */
function indexCheck({ indexing }: HealthSources): readonly HealthCheck[] {
  const found = indexing?.();
  if (found === undefined) return [];
  const observed = { observedValue: found.percent, observedUnit: '%' } as const;
  const name = 'search-parameters';
  return [
    found.failed ? { name, status: 'warn', reason: 'failed', ...observed } : { name, status: 'pass', ...observed },
  ];
}

function modelCheck({ id, version, state }: ModelHealth): HealthCheck {
  const name = `model:${id}|${version}`;
  return state === 'ready' ? { name, status: 'pass' } : { name, status: 'warn', reason: state };
}

function worst(checks: readonly HealthCheck[]): HealthStatus {
  if (checks.some(({ status }) => status === 'fail')) return 'fail';
  return checks.some(({ status }) => status === 'warn') ? 'warn' : 'pass';
}
