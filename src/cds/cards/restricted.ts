/**
 * What a label or a Consent restricts, in a call: models do not see it, drug checks do, and what they find by it is told without naming it.
 * Source: docs/authorization.md (Labels, Consents); decision 0037.
 */
import type { Resource } from '../../fhir/resource.ts';
import type { RestContext } from '../../rest/context.ts';
import { localCaller, localFacts } from '../../rest/permission/caller.ts';
import { permits } from '../../rest/permission/permission.ts';
import type { DrugSafety, Finding } from '../../risk/drugs/finding.ts';
import { severityRank } from '../../risk/drugs/severity.ts';
import { callerNow, callerOf } from '../../smart/access.ts';
import { scopesOf } from '../../smart/scopes.ts';
import type { DrugSafetyEngine } from '../services/service.ts';
import { type BuiltCard, milder } from './card.ts';
import { type Frame, framed } from './frame.ts';
import { escaped } from './plain-text.ts';

/** Whoever needs no role: no label is cleared, every Consent binds. Which patient's it is was judged before. */
const ANYONE = { kind: 'granted', scopes: scopesOf('system/*.rs'), patients: [] } as const;

/** The resources that restrict nobody, and those that do. */
export async function parted(resources: readonly Resource[], context: RestContext) {
  if (context.policy === undefined) return { open: resources, hidden: [] };
  const facts = { ...localFacts('', ''), principal: 'cds:restricted', rights: ANYONE };
  // Where Consents cannot be read, those that were read last hold; before any was, everything is restricted.
  const { access } = await callerNow(facts, context).catch((error: unknown) => {
    context.report(error, '');
    return callerOf(facts, context);
  });
  const caller = { ...localCaller(facts), access };
  const at = context.ambient.now();
  const isOpen = (each: Resource): boolean => permits('read', each, { id: String(each.id ?? ''), at }, caller, context);
  const hidden = new Set(resources.filter((each) => !isOpen(each)));
  return { open: resources.filter((each) => !hidden.has(each)), hidden: [...hidden] };
}

type Checked = ReturnType<DrugSafety['check']>;

/**
 * The same check, which also looks at what is restricted: its findings are those without it, its alternatives those that pass with it.
 * `more` holds what was found only with it.
 */
export function checkedWith(hidden: readonly Resource[], inner: DrugSafety) {
  const more: Finding[] = [];
  const joined = (open: Checked, all: Checked): Checked => {
    const known = new Set(open.findings.map(({ key }) => key));
    const whole = new Map(all.findings.map((finding) => [finding.key, finding]));
    more.push(...all.findings.filter(({ key }) => !known.has(key)));
    const findings = open.findings.map(({ alternatives, ...finding }): Finding => {
      const passing = whole.get(finding.key)?.alternatives?.map(({ ingredient }) => ingredient) ?? [];
      const offered = alternatives?.filter(({ ingredient }) => passing.includes(ingredient));
      return offered === undefined ? finding : { ...finding, alternatives: offered };
    });
    // An order that was not held against what is restricted in time was not checked.
    const late = [...(open.late ?? []), ...(all.late ?? [])];
    const left = late.filter(({ source }, index) => late.findIndex((one) => one.source === source) === index);
    return { ...open, findings, ...(left.length === 0 ? {} : { late: left }) };
  };
  const { checkPaced } = inner;
  const safety: DrugSafety = {
    ...inner,
    check: (drafts, context, at) =>
      joined(inner.check(drafts, context, at), inner.check(drafts, [...context, ...hidden], at)),
    ...(checkPaced === undefined
      ? {}
      : {
          checkPaced: async (drafts, context, at, pace) =>
            joined(
              await checkPaced(drafts, context, at, pace),
              await checkPaced(drafts, [...context, ...hidden], at, pace),
            ),
        }),
  };
  return { safety, more };
}

/** One card for all that was found with what is restricted: who may see it is asked, not told. */
export function restrictedCards(
  frame: Frame,
  engine: DrugSafetyEngine,
  more: readonly Finding[],
  selected: ReadonlySet<string> | undefined,
): readonly BuiltCard[] {
  const told = more.filter(
    ({ severity, draft }) =>
      engine.severities[severity] !== undefined && (selected === undefined || selected.has(draft.source)),
  );
  const [worst] = told.toSorted((a, b) => severityRank(a.severity) - severityRank(b.severity));
  if (worst === undefined) return [];
  const orders =
    selected === undefined ? [] : [...new Set(told.map(({ draft }) => `- ${escaped(draft.display, 120)}`))];
  return [
    {
      isAlwaysShown: true,
      ...framed(frame, {
        kind: 'withheld',
        key: 'restricted',
        // As strong as its severity; critical is for what can be cited.
        indicator: milder(engine.severities[worst.severity] ?? 'info', 'warning'),
        summary: `Restricted medication, contact the pharmacy: a ${worst.severity} hazard was found`,
        detail: [
          'A hazard was found with something in this record that is restricted. It is not named here. The pharmacy can see it.',
          ...(orders.length === 0 ? [] : [`It concerns:\n${orders.join('\n')}`]),
        ],
        links: [],
      }),
    },
  ];
}
