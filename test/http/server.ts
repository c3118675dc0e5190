/** A listening server over a world, for tests that need sockets. */
import { request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loopbackGuard } from '../../src/http/access.ts';
import { closeGracefully, type HttpParts, httpApp, listen } from '../../src/http/app.ts';
import { type FhirHandlerParts, fhirHandler } from '../../src/http/fhir.ts';
import { type World, world } from '../world.ts';

export interface Listening {
  readonly there: World;
  readonly server: Server;
  readonly port: number;
  readonly reported: unknown[];
  ask(method: string, path: string, sent?: Asked): Promise<Answered>;
  close(): Promise<void>;
}
export interface Asked {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Buffer;
}
export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export async function listening(
  parts: Partial<FhirHandlerParts> = {},
  there: World = world(),
  more: Partial<HttpParts> = {},
): Promise<Listening> {
  const reported: unknown[] = [];
  const fhir = fhirHandler({
    context: there.context,
    guard: loopbackGuard('https://fhir.example.org'),
    bodyLimitBytes: 200_000,
    heavy: async () => ({ status: 299, headers: {}, body: 'heavy' }),
    ...parts,
  });
  let ids = 0;
  const app = httpApp({
    fhir,
    cds: (request, response) => {
      if (request.url === '/broken') throw new Error('secret');
      response.end('cds');
    },
    ready: async () => ({ status: there.store.fails.read === undefined ? 'pass' : 'fail', checks: [] }),
    newId: () => `minted-${++ids}`,
    report: (error) => reported.push(error),
    ...more,
  });
  const server = await listen(app, { HOST: '127.0.0.1', PORT: 0, REQUEST_TIMEOUT_MS: 5000 });
  const { port } = server.address() as AddressInfo;
  return { there, server, port, reported, ask: asking(port), close: () => closeGracefully(server, 1000) };
}

const asking =
  (port: number): Listening['ask'] =>
  (method, path, { headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const sent = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]]),
      );
      const request = httpRequest(
        { host: '127.0.0.1', port, method, path, headers: sent, agent: false },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
          );
        },
      );
      request.on('error', reject);
      request.end(body);
    });
