/** Logs as JSON lines without PHI: one closed list of events, one closed list of fields (field.ts). Source: docs/decisions/0010-logging.md. */
import winston from 'winston';
import { checkedFields, isFrame, type LogFields, type Vocabulary } from './field.ts';

export type { LogFields, Vocabulary } from './field.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** THE table: every event that can be logged, and how severe it is. `request` is the one line of a request. */
const EVENTS = {
  starting: 'info',
  listening: 'info',
  draining: 'info',
  stopped: 'info',
  seeded: 'info',
  request: 'info',
  'model-loaded': 'info',
  'model-failed': 'error',
  'drift-failed': 'error',
  'model-drifted': 'warn',
  'service-loaded': 'info',
  'service-not-attested': 'warn',
  'hook-degraded': 'warn',
  'subscription-failed': 'error',
  'reviews-overdue': 'warn',
  'monitoring-behind': 'warn',
  'monitoring-not-attested': 'warn',
  'search-refused': 'warn',
  reindexing: 'info',
  'reindex-done': 'info',
  'parameter-files-refused': 'warn',
  checkpoint: 'debug',
  'commit-group': 'debug',
  'store-unavailable': 'error',
  'audit-head': 'info',
  'audit-unwritable': 'error',
  'thread-lost': 'error',
  'request-failed': 'error',
  'start-failed': 'error',
} as const satisfies Record<string, LogLevel>;
export type LogEvent = keyof typeof EVENTS;

export interface Log {
  event(name: LogEvent, fields?: LogFields): void;
  /** With class, code and stack positions of the error; its message is never written. */
  failure(name: LogEvent, error: unknown, fields?: LogFields): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly vocabulary: Vocabulary;
  /** ms since 1970. */
  now(): number;
  /** Where lines go; standard output when absent. */
  readonly output?: NodeJS.WritableStream;
}

/** Folder of the project, as in stacks: a path, or a URL for modules. */
const ROOT = new URL('../../', import.meta.url);
const MAX_FRAMES = 12;

/** The log. One JSON object a line: `time`, `level`, `event`, then the fields. */
export function createLog({ level, vocabulary, now, output }: LogOptions): Log {
  const logger = winston.createLogger({
    level,
    levels: { error: 0, warn: 1, info: 2, debug: 3 },
    format: winston.format.printf(({ line }) => String(line)),
    transports: [new winston.transports.Stream({ stream: output ?? process.stdout })],
  });
  const write = (name: LogEvent, fields: Readonly<Record<string, unknown>>, stack?: readonly string[]): void => {
    if (!Object.hasOwn(EVENTS, name)) return;
    const severity = EVENTS[name];
    if (!logger.isLevelEnabled(severity)) return;
    const time = new Date(now()).toISOString();
    const line = JSON.stringify({ time, level: severity, event: name, ...checkedFields(fields, vocabulary), stack });
    logger.log({ level: severity, message: '', line });
  };
  return {
    event: (name, fields = {}) => write(name, fields),
    failure: (name, error, fields = {}) => write(name, { ...fields, ...described(error) }, framesOf(error)),
  };
}

/** Class and code of an error, or of what caused it; both are checked like every field. */
function described(error: unknown): LogFields {
  if (!(error instanceof Error)) return { errorClass: typeof error };
  const code = codeOf(error) ?? codeOf(error.cause);
  return { errorClass: error.name, ...(code === undefined ? {} : { errorCode: code }) };
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error ? error.code : 'kind' in error ? error.kind : undefined;
  return typeof code === 'string' ? code : undefined;
}

/**
 * `src/rest/interactions/read.ts:12` of each frame inside this project or Node. The message, which a stack repeats, is cut off first; when it is not
 * found where it must be there are no frames, because its lines could look like frames.
 */
function framesOf(error: unknown): readonly string[] | undefined {
  if (!(error instanceof Error)) return undefined;
  const stack = stackOf(error);
  if (stack === '') return undefined;
  const start = stack.indexOf(error.message);
  if (start < 0 || stack.slice(0, start).includes('\n')) return undefined;
  const lines = stack
    .slice(start + error.message.length)
    .split('\n')
    .slice(1); // the rest of the header line is no frame
  const frames = lines.flatMap((line) => frameOf(line) ?? []);
  return frames.length === 0 ? undefined : frames.slice(0, MAX_FRAMES);
}

/** '' when the error's own fields are not texts: V8 formats the stack when it is first read, and may throw. */
function stackOf(error: Error): string {
  try {
    return typeof error.message === 'string' && typeof error.stack === 'string' ? error.stack : '';
  } catch {
    return '';
  }
}

function frameOf(line: string): string | undefined {
  const [, place, row] = /^ {4}at (?:.* \()?([^()]+):(\d+):\d+\)?$/.exec(line) ?? [];
  if (place === undefined || row === undefined) return undefined;
  const roots = [ROOT.href, decodeURI(ROOT.pathname)];
  const root = place.startsWith('node:') ? '' : roots.find((start) => place.startsWith(start));
  if (root === undefined) return undefined;
  const frame = `${place.slice(root.length)}:${row}`;
  return isFrame(frame) ? frame : undefined;
}
