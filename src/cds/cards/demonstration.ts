/** A model that nobody outside has validated is shown as a demonstration: source attributes 17 to 21 of 45 CFR 170.315(b)(11)(iv). */
import type { Models } from '../../risk/assessment.ts';
import type { ModelCard } from '../../risk/manifest.ts';
import { modelsOf, type Service } from '../services/service.ts';

/** Attributes that say how a model was tested: external validation, and validity on its own source. */
const VALIDATION = new Set([17, 18, 19, 20, 21]);
const UNKNOWN = /^not available\b/i;
const SAYS_SO = /\bdemonstration\b/i;

/** Models, and their source attributes by `id|version` where they are known. */
export type CardedModels = Models & { readonly cards?: ReadonlyMap<string, ModelCard> };

/** One sentence for each service that shows a model without validation and does not say that it is for demonstration. */
export function unlabelledServices(
  services: ReadonlyMap<string, Service>,
  { manifests, cards = new Map() }: CardedModels,
): readonly string[] {
  const isValidated = (id: string): boolean =>
    (cards.get(`${id}|${manifests.get(id)?.version}`)?.attributes ?? []).every(
      ({ number, value }) => !VALIDATION.has(number) || !UNKNOWN.test(value),
    );
  return [...services.values()].flatMap((service) => {
    const unproven = modelsOf(service).filter((id) => !isValidated(id));
    return unproven.length === 0 || SAYS_SO.test(service.notice)
      ? []
      : [
          `cds-services/${service.id}: the notice does not say "demonstration", and ${unproven.join(', ')} has no validation.`,
        ];
  });
}
