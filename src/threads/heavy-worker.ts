/** Entry of the heavy thread: the same `answer` over its own read connection, with a time budget per search. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Config } from '../config.ts';
import { answer } from '../rest/interact.ts';
import { callerOf } from '../smart/access.ts';
import { attachedSystem } from '../system.ts';
import type { HeavyReply, HeavyTask } from './heavy.ts';

const { config, channel, parameters } = workerData as {
  readonly config: Config;
  readonly channel: MessagePort;
  readonly parameters: MessagePort;
};
const port = parentPort;
if (port === null) throw new TypeError('This file is the entry of a worker thread.');
const { live, close } = await attachedSystem(config, channel, parameters);

port.on('message', async (task: HeavyTask | 'close') => {
  if (task === 'close') {
    await close();
    process.exit(0);
  }
  const context = live.current;
  let reply: HeavyReply;
  try {
    reply = { id: task.id, response: await answer(task.wire, callerOf(task.caller, context), context) };
  } catch (error) {
    context.report(error, task.caller.requestId);
    reply = { id: task.id, failure: error instanceof Error ? error.name : 'unknown' };
  }
  port.postMessage(reply);
});
port.postMessage('ready');
