/** Progress of long work: a bar in a terminal, a line per tenth elsewhere. */
import { Presets, SingleBar } from 'cli-progress';

/** Called with how much is done of how much; the last call has done = total. */
export type Progress = (done: number, total: number) => void;

/** @param what shown before the bar, e.g. 'seed data' */
export function progressBar(what: string): Progress {
  if (!process.stderr.isTTY) {
    let tenth = -1;
    return (done, total) => {
      const now = total === 0 ? 10 : Math.floor((done / total) * 10);
      if (now !== tenth) console.error(`firewatch: ${what} ${now * 10} %`);
      tenth = now;
    };
  }
  const bar = new SingleBar(
    { format: `firewatch: ${what} [{bar}] {percentage} % {value}/{total}`, hideCursor: true },
    Presets.shades_classic,
  );
  let started = false;
  return (done, total) => {
    if (!started) bar.start(total, 0);
    started = true;
    bar.update(done);
    if (done >= total) bar.stop();
  };
}
