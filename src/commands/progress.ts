/** Progress of long work: a bar in a terminal, a line per tenth elsewhere. */
import { Presets, SingleBar } from 'cli-progress';

/** Called with how much is done of how much; the last call has done = total. */
export type Progress = (done: number, total: number) => void;

/**
 * @param what shown before the bar, e.g. 'seed data'
 * @param unit what is counted, e.g. 'rows': how many a second are told as well, since the first call
 */
export function progressBar(what: string, unit?: string): Progress {
  let first: { readonly at: number; readonly done: number } | undefined;
  const rate = (done: number): string => {
    const at = performance.now();
    first ??= { at, done };
    if (unit === undefined || at === first.at) return '';
    return ` ${Math.round((done - first.done) / ((at - first.at) / 1000)).toLocaleString('en')} ${unit}/s`;
  };
  if (!process.stderr.isTTY) {
    let tenth = -1;
    return (done, total) => {
      const now = total === 0 ? 10 : Math.floor((done / total) * 10);
      const told = rate(done);
      if (now !== tenth) console.error(`firewatch: ${what} ${now * 10} %${told}`);
      tenth = now;
    };
  }
  const bar = new SingleBar(
    { format: `firewatch: ${what} [{bar}] {percentage} % {value}/{total}{rate}`, hideCursor: true },
    Presets.shades_classic,
  );
  let started = false;
  return (done, total) => {
    const told = { rate: rate(done) };
    if (!started) bar.start(total, 0, told);
    started = true;
    bar.update(done, told);
    if (done >= total) bar.stop();
  };
}
