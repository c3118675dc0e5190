/** What is wrong with the file of a service beyond its shape: names of the hook, of models, of their bands and results; texts as cards may hold them. */
import type { RestContext } from '../../rest/context.ts';
import type { Manifest } from '../../risk/assessment.ts';
import { HEADINGS, isWebAddress } from '../cards/lint.ts';
import { HOOKS, type Hook } from '../hook/hooks.ts';
import type { ScoreRule, ScoresEngine, Service, TriageEngine } from './service.ts';
import { templateProblems } from './template.ts';

/** One sentence each; the server does not start while there is any. */
export function serviceProblems(
  service: Service,
  manifests: ReadonlyMap<string, Manifest>,
  context: RestContext,
  isBallot: boolean,
): readonly string[] {
  const hook = HOOKS.get(service.hook);
  if (hook === undefined) return [`hook \`${service.hook}\` is not known`];
  const urls = [service.source.url, ...(service.links ?? []).map((link) => link.url)];
  return [
    ...Object.entries(service.prefetch).flatMap(([key, template], at, all) => {
      const earlier = new Set(all.slice(0, at).flatMap(([name, before]) => (before.includes('?') ? [] : [name])));
      const problems = templateProblems(template, hook, context, isBallot ? { earlier } : undefined);
      return problems.map((problem) => `prefetch \`${key}\` ${problem}`);
    }),
    ...(service.optionalPrefetch ?? [])
      .filter((key) => !Object.hasOwn(service.prefetch, key))
      .map((key) => `optionalPrefetch names \`${key}\`, which is not a prefetch key`),
    ...(service.refiningPrefetch ?? [])
      .filter((key) => !(service.optionalPrefetch ?? []).includes(key))
      .map((key) => `refiningPrefetch names \`${key}\`, which is not optional`),
    ...urls.filter((url) => url !== undefined && !isWebAddress(url)).map(() => 'a URL is not an absolute http(s) URL'),
    ...textProblems(service),
    ...(hook.fields.patientId === undefined ? ['the hook has no patient'] : []),
    ...engineProblems(service, hook, manifests),
  ];
}

function engineProblems(
  service: Service,
  { orders }: Hook,
  manifests: ReadonlyMap<string, Manifest>,
): readonly string[] {
  const { engine } = service;
  switch (engine.kind) {
    case 'scores':
      return scoreProblems(service, engine, manifests);
    case 'triage':
      return triageProblems(service, engine, manifests);
    case 'drug-safety':
      return [
        ...(orders === undefined && service.hook !== ALLERGY_HOOK
          ? ['drug-safety needs a hook with orders or an allergy']
          : []),
        ...(engine.annotateOrders === true && service.hook !== SIGNING_HOOK
          ? [`orders are annotated on ${SIGNING_HOOK} only`]
          : []),
      ];
  }
}

/** The hook whose recorded allergy is checked against what the patient takes. */
const ALLERGY_HOOK = 'allergyintolerance-create';

/** The hook at whose end orders are signed: what is noted before may still change. */
const SIGNING_HOOK = 'order-sign';

function triageProblems(
  service: Service,
  { scores, learned }: TriageEngine,
  manifests: ReadonlyMap<string, Manifest>,
): readonly string[] {
  return [
    ...(service.ceiling === 'critical' ? ['a score alone never gives `critical`: lower the ceiling'] : []),
    ...[...scores, ...learned.map(({ model }) => model)]
      .filter((id) => !manifests.has(id))
      .map((id) => `model \`${id}\` is not loaded`),
    ...learned
      .filter(({ model, band }) => manifests.get(model)?.bands.some(({ name }) => name === band) === false)
      .map(({ model, band }) => `model \`${model}\` has no band \`${band}\``),
  ];
}

/** Texts of the file stand on every card as they are: no markup, no addresses, and the disclaimer says what it must. */
function textProblems({
  notice,
  disclaimer,
  source,
  topic,
  links,
  overrideReasons,
  brief = {},
}: Service): readonly string[] {
  const briefs = [brief.population, brief.limits, brief.source].filter((text) => text !== undefined);
  const texts = [
    notice,
    disclaimer,
    source.label,
    topic.display,
    ...(links ?? []).map(({ label }) => label),
    ...briefs,
  ];
  return [
    ...(texts.some((text) => /[<>]|:\/\/|www\./i.test(text)) ? ['a text holds markup or an address'] : []),
    ...[HEADINGS.disclaimer, HEADINGS.audience]
      .filter((phrase) => !disclaimer.includes(phrase))
      .map((phrase) => `the disclaimer lacks "${phrase}"`),
    ...(new Set((overrideReasons ?? []).map(({ system, code }) => `${system}|${code}`)).size <
    (overrideReasons ?? []).length
      ? ['overrideReasons repeats a code']
      : []),
  ];
}

function scoreProblems(
  service: Service,
  engine: ScoresEngine,
  manifests: ReadonlyMap<string, Manifest>,
): readonly string[] {
  return [
    ...(service.ceiling === 'critical' ? ['a score alone never gives `critical`: lower the ceiling'] : []),
    ...engine.models.filter((id) => !manifests.has(id)).map((id) => `model \`${id}\` is not loaded`),
    ...Object.keys({ ...engine.labels, ...engine.scoreOutputs, ...engine.outcomes })
      .filter((id) => !engine.models.includes(id))
      .map((id) => `labels, scoreOutputs or outcomes names \`${id}\`, which is not among its models`),
    ...orderSetProblems(engine, manifests),
    ...engine.rules.flatMap((rule) => {
      if (!engine.models.includes(rule.model)) return [`a rule names \`${rule.model}\`, which is not among its models`];
      const bands = manifests.get(rule.model)?.bands;
      const unknownToken = /\{(?!(?:label|score|band|others)\})[^}]*\}/.test(rule.summary);
      return [
        ...(bands === undefined || bands.some((band) => band.name === rule.band)
          ? []
          : [`model \`${rule.model}\` has no band \`${rule.band}\``]),
        ...thresholdProblems(rule, engine),
        ...(unknownToken ? [`the summary of \`${rule.model}\` \`${rule.band}\` has an unknown token`] : []),
      ];
    }),
  ];
}

/** Only scores from files propose orders, by bands and results that they have. */
function orderSetProblems(
  { orders, models }: ScoresEngine,
  manifests: ReadonlyMap<string, Manifest>,
): readonly string[] {
  if (orders === undefined) return [];
  const named = manifests.get(orders.model);
  const outputs = orders.items.flatMap(({ when, caution }) => (caution === undefined ? [when] : [when, caution]));
  return [
    ...[orders.model, ...outputs.map(({ model }) => model)]
      .filter((id) => !models.includes(id))
      .map((id) => `orders name \`${id}\`, which is not among its models`),
    ...(named !== undefined && named.results === undefined
      ? [`orders by \`${orders.model}\`, which is no score from a file`]
      : []),
    ...orders.bands
      .filter((band) => named?.bands.some(({ name }) => name === band) === false)
      .map((band) => `model \`${orders.model}\` has no band \`${band}\``),
    ...outputs
      .filter(({ model, output }) => manifests.get(model)?.results?.some(({ name }) => name === output) !== true)
      .map(({ model, output }) => `score \`${model}\` has no result \`${output}\``),
  ];
}

/** Thresholds of one model stand highest first, and on a model whose score the service names. */
function thresholdProblems(rule: ScoreRule, { rules, scoreOutputs }: ScoresEngine): readonly string[] {
  if (rule.from === undefined) return rule.meaning === undefined ? [] : ['a meaning without a threshold (`from`)'];
  const before = rules.slice(0, rules.indexOf(rule)).filter(({ model }) => model === rule.model);
  return [
    ...(scoreOutputs?.[rule.model] === undefined ? [`a threshold of \`${rule.model}\`, which has no scoreOutput`] : []),
    ...(before.some(({ from }) => from === undefined || from <= (rule.from ?? 0))
      ? [`the thresholds of \`${rule.model}\` are not in falling order`]
      : []),
  ];
}
