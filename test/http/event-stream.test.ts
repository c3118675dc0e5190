// Streams of events judge each listener again, at each message and at each beat (docs/authorization.md, docs/monitoring.md).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import express from 'express';
import { type FhirError, fhirError } from '../../src/fhir/outcome.ts';
import { EventStream } from '../../src/http/event-stream.ts';

/** Names (header `authorization`) of who may not listen (any more). */
const refused = new Set<string>();
const admit = async ({ headers }: { readonly headers: { readonly authorization?: string | undefined } }) =>
  refused.has(headers.authorization ?? '') ? fhirError('token-invalid', 'The access token does not hold.') : undefined;

async function served(beatMs: number) {
  const stream = new EventStream(
    '/monitor/events',
    (request): Promise<FhirError | undefined> => admit(request),
    beatMs,
  );
  const app = express().use((request, response) => void stream.handler(request, response, 'r'));
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const listen = (name: string) =>
    fetch(`http://127.0.0.1:${port}/monitor/events`, { headers: { authorization: name } });
  return {
    ...{ stream, listen },
    close: () => {
      stream.close();
      server.closeAllConnections();
      server.close();
    },
  };
}
let quiet: Awaited<ReturnType<typeof served>>;
let beating: Awaited<ReturnType<typeof served>>;
before(async () => {
  quiet = await served(600_000);
  beating = await served(5);
});
after(() => {
  quiet.close();
  beating.close();
});

test('smart@streams who may not listen any more is told nothing of what happens then; others are, in order', async () => {
  const [ended, other] = await Promise.all(['ended', 'other'].map(quiet.listen));
  assert.equal(ended?.status, 200);
  quiet.stream.tell('flag', '1');
  refused.add('ended');
  quiet.stream.tell('flag', '2');
  quiet.stream.tell('flag', '3');
  const text = (await ended?.text()) ?? '';
  assert.ok(!text.includes('data: 2') && !text.includes('data: 3'), text);
  quiet.stream.tell('flag', '4');
  const reader = other?.body?.getReader();
  let heard = '';
  while (!heard.includes('data: 4')) heard += new TextDecoder().decode((await reader?.read())?.value);
  assert.deepEqual(heard.match(/(?<=data: )\d/g), ['1', '2', '3', '4']);
  await reader?.cancel();
  assert.equal((await quiet.listen('ended')).status, 401);
});

test('smart@streams a stream on which nothing happens ends at a beat', async () => {
  const response = await beating.listen('idle');
  assert.equal(response.status, 200);
  refused.add('idle');
  assert.ok(!(await response.text()).includes('event:'));
});
