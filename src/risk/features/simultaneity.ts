/**
 * How far apart the dated inputs of a model may lie. A manifest or score file says it (`simultaneity`); a site may decide otherwise. NEWS2 is a score
 * of one set of observations (RCP 2017, chart 3); how many minutes such a set takes is not published, so that it is the site's to say.
 */
import type { ModelManifest } from '../manifest.ts';
import type { Feature } from './observation.ts';

/** Model id -> minutes; 0: as far apart as the windows of the inputs reach. */
export type InputSpans = ReadonlyMap<string, number>;

const HOUR_MS = 3_600_000;
const HOUR_MINUTES = 60;
const SPAN = /^([a-z0-9][a-z0-9-]{0,63})=(\d{1,5})$/;

/** @param text `news2=90` @throws TypeError when it is something else */
export function spanOf(text: string): readonly [model: string, minutes: number] {
  const [, model, minutes] = SPAN.exec(text) ?? [];
  if (model === undefined) throw new TypeError('must hold pairs of a model and minutes such as news2=60');
  return [model, Number(minutes)];
}

/** What a site has set. @throws TypeError for a model that is set twice or is not there */
export function inputSpans(settings: readonly string[], models: ReadonlySet<string>): InputSpans {
  const spans = settings.map(spanOf);
  const unknown = spans.find(([model]) => !models.has(model));
  if (unknown !== undefined) throw new TypeError(`INPUTS_WITHIN_MINUTES: there is no model \`${unknown[0]}\`.`);
  const byModel = new Map(spans);
  if (byModel.size < spans.length) throw new TypeError('INPUTS_WITHIN_MINUTES: a model is set twice.');
  return byModel;
}

/** The same manifest or score file with the site's span. */
export function withSpan<T extends Pick<ModelManifest, 'id' | 'simultaneity'>>(file: T, spans: InputSpans): T {
  const minutes = spans.get(file.id);
  if (minutes === undefined) return file;
  if (minutes === 0) return { ...file, simultaneity: undefined };
  return { ...file, simultaneity: { hours: minutes / HOUR_MINUTES, of: file.simultaneity?.of ?? 'each-other' } };
}

/** `90 min`, `2 h`. */
export const spanText = (hours: number): string =>
  Number.isInteger(hours) && hours !== 1 ? `${hours} h` : `${Math.round(hours * HOUR_MINUTES)} min`;

/** What was read, with dated inputs that are too old beside the others, or at the instant, made missing. `hours` is included. */
export function ofOneMoment(
  { features, simultaneity }: Pick<ModelManifest, 'features' | 'simultaneity'>,
  read: readonly Feature[],
  instant: number,
): readonly Feature[] {
  if (simultaneity === undefined) return read;
  const { hours, of } = simultaneity;
  const dated = features.map(({ windowHours }, index) => (windowHours === undefined ? undefined : read[index]?.at));
  const newest = of === 'now' ? instant : Math.max(...dated.filter((at) => at !== undefined));
  const than = of === 'now' ? 'the instant judged at' : 'the newest input';
  return read.map((feature, index) => {
    const at = dated[index];
    if (at === undefined || at >= newest - hours * HOUR_MS) return feature;
    return { value: Number.NaN, reason: `measured more than ${spanText(hours)} before ${than}` };
  });
}
