/**
 * Which slice an entry belongs to, by discriminators. Source: FHIR R4 profiling.html#slicing, #discriminator.
 * Not judged: discriminators that follow references (`resolve()`).
 */

import type { Membership } from './binding.ts';
import { codesOf, type Item, itemsAt, type Judging, objectOf, type Places } from './item.ts';
import { type Discriminator, holdsPattern, isSame, type ProfileElement, type Slicing, urlOf } from './profile.ts';

/** Does the entry belong to the slice? */
export type Matcher = (item: Item, at: Judging) => boolean;
export interface SlicingTools {
  readonly places: Places;
  member(valueSet: string): (code: { system: string | undefined; code: string }) => Membership;
  /** undefined: the profile is not held. */
  conforms(profile: string): Matcher | undefined;
}

/** All discriminators together; undefined when one cannot be judged, so that nobody can say what belongs to the slice. */
export function sliceMatcher(
  slice: ProfileElement,
  slicing: Slicing | undefined,
  tools: SlicingTools,
): Matcher | undefined {
  const byType = { type: 'type', path: '$this' };
  const given = slicing?.discriminators ?? [];
  const discriminators = given.length === 0 && slice.isChoice ? [byType] : given;
  const matchers = discriminators.map((each) => matcher(slice, each, tools));
  if (matchers.length === 0 || matchers.includes(undefined)) return undefined;
  const all = matchers.filter((each) => each !== undefined);
  return (item, at) => all.every((matches) => matches(item, at));
}

type Step = { readonly child: string } | { readonly extension: string } | { readonly type: string };

/** undefined: a path that leaves the resource, or is none of a discriminator. */
function stepsOf(path: string): readonly Step[] | undefined {
  if (path === '$this') return [];
  const steps: Step[] = [];
  for (const part of path.match(/(?:[^.(]|\([^)]*\))+/g) ?? []) {
    const call = /^(extension|ofType)\('?([^')]*)'?\)$/.exec(part);
    if (call?.[1] === 'extension') steps.push({ extension: call[2] ?? '' });
    else if (call?.[1] === 'ofType') steps.push({ type: call[2] ?? '' });
    else if (/^[A-Za-z]+$/.test(part)) steps.push({ child: part });
    else if (part !== '$this') return undefined;
  }
  return steps;
}

function matcher(slice: ProfileElement, { type, path }: Discriminator, tools: SlicingTools): Matcher | undefined {
  const steps = stepsOf(path);
  if (steps === undefined) return undefined;
  const leaf = steps.reduce<ProfileElement | undefined>(stepDown, slice);
  const entries = (item: Item): readonly Item[] =>
    steps.reduce<readonly Item[]>((items, step) => below(items, step, tools), [item]);
  if (type === 'value' || type === 'pattern') return valueMatcher(slice, steps, tools);
  if (leaf === undefined) return undefined;
  if (type === 'exists') {
    if (leaf.max > 0 && leaf.min === 0) return undefined;
    return (item) => entries(item).length > 0 === leaf.max > 0;
  }
  if (type === 'type') {
    const codes = new Set(leaf.types.map(({ code }) => code));
    return codes.size === 0 ? undefined : (item) => entries(item).some((each) => codes.has(each.type ?? ''));
  }
  if (type !== 'profile') return undefined;
  const conforming = leaf.types.flatMap(({ profiles }) => profiles).map((each) => tools.conforms(each));
  if (conforming.length === 0 || conforming.includes(undefined)) return undefined;
  return (item, at) => entries(item).some((each) => conforming.some((conforms) => conforms?.(each, at) === true));
}

function stepDown(node: ProfileElement | undefined, step: Step): ProfileElement | undefined {
  if (node === undefined || 'type' in step) return node;
  if ('child' in step) return node.children.find(({ name }) => name === step.child);
  const extensions = node.children.find(({ name }) => name === 'extension');
  return extensions?.slices.find((each) => urlsOf(each).includes(step.extension));
}

function below(items: readonly Item[], step: Step, { places }: SlicingTools): readonly Item[] {
  if ('type' in step) return items.filter(({ type }) => type === step.type);
  const name = 'child' in step ? step.child : 'extension';
  const found = items.flatMap((item) => itemsAt(objectOf(item), places.of(item.definedAt, name)));
  return 'child' in step ? found : found.filter((each) => objectOf(each).url === step.extension);
}

/** Urls of the extension that an element stands for. */
const urlsOf = ({ types }: ProfileElement): readonly string[] =>
  types.flatMap(({ code, profiles }) => (code === 'Extension' ? profiles.map(urlOf) : []));

/**
 * Whatever the slice fixes along the path and at its end: fixed values, patterns, required bindings; below the end too, when it fixes nothing itself.
 */
function valueMatcher(slice: ProfileElement, steps: readonly Step[], tools: SlicingTools): Matcher | undefined {
  const tests: Matcher[] = [];
  let node: ProfileElement | undefined = slice;
  for (let depth = 0; depth <= steps.length && node !== undefined; depth++) {
    const test = ownTest(node, tools, depth === steps.length);
    const way = steps.slice(0, depth);
    if (test !== undefined) {
      tests.push((item) => way.reduce<readonly Item[]>((found, each) => below(found, each, tools), [item]).some(test));
    }
    const step = steps[depth];
    if (step !== undefined) node = stepDown(node, step);
  }
  const urls = urlsOf(slice);
  const [first] = steps;
  if (tests.length === 0 && urls.length > 0 && first !== undefined && 'child' in first && first.child === 'url') {
    return (item) => urls.some((url) => objectOf(item).url === url);
  }
  return tests.length === 0 ? undefined : (item, at) => tests.every((test) => test(item, at));
}

function ownTest(node: ProfileElement, tools: SlicingTools, isLeaf: boolean): ((item: Item) => boolean) | undefined {
  const { fixed, pattern, binding } = node;
  if (fixed !== undefined) return ({ value }) => isSame(value, fixed);
  if (pattern !== undefined) return ({ value }) => holdsPattern(value, pattern);
  if (!isLeaf) return undefined;
  const deeper = node.children.flatMap((child) => {
    const test = ownTest(child, tools, true);
    return test === undefined || child.min === 0 ? [] : [{ name: child.name, test }];
  });
  if (deeper.length > 0) {
    return (item) =>
      deeper.every(({ name, test }) => itemsAt(objectOf(item), tools.places.of(item.definedAt, name)).some(test));
  }
  if (binding?.strength !== 'required') return undefined;
  const member = tools.member(binding.valueSet);
  return ({ value }) => codesOf(value).some((code) => member(code) === 'in');
}
