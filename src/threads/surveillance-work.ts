/** One daily run of surveillance. It is no job: what a definition has reached is kept by the definition itself. */
import { definitionsOf } from '../open/surveillance.ts';
import { runDaily } from '../surveillance/daily.ts';
import { SurveillanceDoor } from '../surveillance/door.ts';
import type { JobReply, ThreadTools, ThreadWork } from './thread-work.ts';

export const SURVEILLANCE_WORK: ThreadWork = { searchMs: 60_000, longestRestMs: 20, run: watched };

async function watched({ config, live, stopped, pause, report }: ThreadTools): Promise<JobReply> {
  let reply: JobReply = 'complete';
  const failed = (error: unknown): void => {
    reply = stopped() ? 'stopped' : 'failed';
    report(error, 'surveillance');
  };
  const step = async (): Promise<void> => {
    if (stopped()) throw new Error('The run is stopped; the next goes on.');
    await pause();
  };
  try {
    const door = new SurveillanceDoor(live.current, 'surveillance', step);
    const zone = config.SITE_TIME_ZONE;
    await runDaily(definitionsOf(config).values(), { door, zone }, { failed });
  } catch (error) {
    failed(error);
  }
  return reply;
}
