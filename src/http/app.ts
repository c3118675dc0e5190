/** Mounts the rooms on Express, which only carries bytes: no query parser, no ETag, no body parser. Also listening and draining. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import express, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import { fhirError, operationOutcome } from '../fhir/outcome.ts';
import type { HealthReport } from '../telemetry/health.ts';
import type { FhirHandler } from './fhir.ts';
import { send, setCommonHeaders } from './headers.ts';
import { isOfThisMachine, liveHandler, metricsHandler, readyHandler } from './ops.ts';

export interface HttpParts {
  readonly fhir: FhirHandler;
  /** Everything below `/cds-services`; guards its own access. Mounted: `url` is what follows. */
  readonly cds: RequestHandler;
  /** Everything below a path, such as `/export`; each guards its own access. Mounted like `cds`. */
  readonly jobs?: ReadonlyMap<string, (request: Request, response: Response, requestId: string) => Promise<void>>;
  /** Pages for people, whose paths lie beside the APIs; passes on what is none of them. */
  readonly pages?: RequestHandler;
  ready(): Promise<HealthReport>;
  /** Counters as text; absent: there is no `/metrics`, nor is there for whom `mayMeasure` refuses. */
  metrics?(): string;
  /** Default: programs of this machine. */
  mayMeasure?(request: Request): boolean;
  newId(): string;
  /** False while draining: answers then ask clients to open no further request on their connection. */
  accepting?(): boolean;
  /** One line a request, after its answer has left or its client has gone. */
  onAnswered?(line: RequestLine): void;
  /** A fault nobody was told about. */
  report(error: unknown, requestId: string): void;
}

/** First segments of the paths that there are: what a log line may name. */
export const ROUTES: ReadonlySet<string> = new Set([
  ...['/fhir', '/cds-services', '/oauth', '/export', '/import', '/monitor', '/subscriptions', '/health'],
  ...['/models', '/assets', '/cds-basis', '/cds-sandbox'],
]);

/** What a request's log line may say: no path, no query. */
export interface RequestLine {
  readonly requestId: string;
  readonly method: string;
  /** One of ROUTES; anything else as it came, for the log to redact. */
  readonly route: string;
  readonly status: number;
  readonly ms: number;
}

/** The whole HTTP surface. */
export function httpApp({
  fhir,
  cds,
  jobs,
  pages,
  ready,
  metrics,
  mayMeasure = isOfThisMachine,
  newId,
  accepting,
  onAnswered,
  report,
}: HttpParts): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);
  app.set('case sensitive routing', true);
  app.use((request, response, next) => {
    const requestId = setCommonHeaders(request, response, newId);
    response.locals.requestId = requestId;
    if (accepting?.() === false) response.setHeader('Connection', 'close');
    if (onAnswered !== undefined) {
      const { method, url } = request;
      const route = /^\/[^/?]*/.exec(url)?.[0] ?? '';
      const started = performance.now();
      response.once('close', () =>
        onAnswered({ requestId, method, route, status: response.statusCode, ms: performance.now() - started }),
      );
    }
    next();
  });
  app.use('/fhir', (request, response) => fhir(request, response, belowBase(request), requestIdOf(response)));
  app.use('/cds-services', cds);
  for (const [path, handler] of jobs ?? []) {
    app.use(path, (request, response) => handler(request, response, requestIdOf(response)));
  }
  app.get('/health/live', liveHandler());
  app.get('/health/ready', readyHandler(ready));
  if (metrics !== undefined) {
    const measured = metricsHandler(metrics);
    app.get('/metrics', (request, response) =>
      mayMeasure(request) ? measured(request, response) : refuse(request, response, 404),
    );
  }
  if (pages !== undefined) app.use(pages);
  app.use((request, response) => refuse(request, response, 404));
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    report(error, requestIdOf(response));
    refuse(request, response, 500);
  });
  return app;
}

function requestIdOf({ locals }: Response): string {
  const { requestId } = locals;
  return typeof requestId === 'string' ? requestId : '';
}

/** `/Patient/1?x` of `/fhir/Patient/1?x`, from the URL as it came: Express turns `/fhir` into `/`, and so loses a trailing slash. */
function belowBase({ originalUrl }: Request): string {
  return originalUrl.slice('/fhir'.length);
}

function refuse(request: Request, response: Response, status: 404 | 500): void {
  const error =
    status === 404
      ? fhirError('not-found', 'There is nothing here. FHIR is at `/fhir`, CDS Hooks at `/cds-services`.')
      : fhirError('exception', 'The server failed to answer. The request id names this in its log.');
  const type = { 'Content-Type': 'application/fhir+json; charset=utf-8' };
  send(request, response, status, type, JSON.stringify(operationOutcome(error.issues)));
}

export interface ListenSettings {
  readonly HOST: string;
  readonly PORT: number;
  readonly REQUEST_TIMEOUT_MS: number;
}

const HEADERS_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;
/** Node looks for overdue connections this often; its default of 30 s would triple the timeouts. */
const TIMEOUT_CHECK_MS = 1_000;
/** X-Provenance alone may have 16 KB. */
const MAX_HEADER_BYTES = 32_768;
const MAX_CONNECTIONS = 2_000;

/**
 * RFC 9112 §3.2.2: a target with a host (`GET http://host/fhir/...`) is taken by every server, and counts instead of the Host header.
 * @returns the same request, changed
 */
function toOriginForm(request: IncomingMessage): IncomingMessage {
  const [, host, rest = ''] = /^https?:\/\/([^/?#]+)([/?][^#]*)?$/i.exec(request.url ?? '') ?? [];
  if (host === undefined) return request;
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
  request.headers.host = host;
  request.headersDistinct.host = [host];
  return request;
}

/** Resolves when the server accepts connections; rejects when it can't listen. */
export function listen(app: Express, { HOST, PORT, REQUEST_TIMEOUT_MS }: ListenSettings): Promise<Server> {
  const server = createServer(
    {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, REQUEST_TIMEOUT_MS),
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
    },
    (request, response) => app(toOriginForm(request), response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(PORT, HOST, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/** How often a draining server looks for connections that have become idle. */
const SWEEP_MS = 20;

/**
 * Stops accepting, lets requests in flight finish, then ends their connections.
 * @param ms longest wait; then connections are cut
 */
export function closeGracefully(server: Server, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
    const cut = setTimeout(() => server.closeAllConnections(), ms);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
