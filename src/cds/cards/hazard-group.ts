/** Findings of one harm about one order, told together: the most severe leads, the others are lines of its card. Source: docs/decisions/0035-hazards-and-quiet.md. */
import { hash } from 'node:crypto';
import type { DrugSafety, Finding, Proposal } from '../../risk/drugs/finding.ts';
import type { HazardGroup } from '../../risk/drugs/hazards.ts';
import { type Indicator, milder } from './card.ts';
import { inputsOf } from './finding-inputs.ts';
import type { Concerned } from './suggestion.ts';

/** A finding that is to be told, and the selected orders that it is about. */
export interface Told {
  readonly finding: Finding;
  readonly indicator: Indicator;
  readonly concerned: readonly Concerned[];
}
export type Group = HazardGroup<Told>;

/** The strongest of the group. */
export const indicatorOf = ({ lead, further }: Group): Indicator =>
  further.reduce(
    (strongest, { indicator }) => (milder(strongest, indicator) === strongest ? indicator : strongest),
    lead.indicator,
  );

/** Every order that one of the group is about, once. */
export function concernedBy({ lead, further }: Group): readonly Concerned[] {
  const all = [lead, ...further].flatMap(({ concerned }) => concerned);
  return all.filter(({ order }, index) => all.findIndex((one) => one.order === order) === index);
}

/** Ceilings and tests of the group, each once. */
export function proposalsOf({ lead, further }: Group): readonly Proposal[] {
  const all = [lead, ...further].flatMap(({ finding }) => finding.proposals ?? []);
  return all.filter(({ display }, index) => all.findIndex((one) => one.display === display) === index);
}

/** Digest of all that the card rests on; undefined when no override may silence it. */
export function inputsOfGroup(
  { lead, further }: Group,
  knowledge: DrugSafety['knowledge'],
): { readonly overridable?: string } {
  if (lead.finding.severity === 'contraindicated') return {};
  const digests = [lead, ...further].map(({ finding, concerned }) => inputsOf(finding, concerned, knowledge));
  const [only = ''] = digests;
  if (digests.length === 1) return { overridable: only };
  return { overridable: hash('sha256', digests.toSorted().join(), 'base64url') };
}
