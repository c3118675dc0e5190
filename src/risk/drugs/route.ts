/** Route of an order by code, by text, else by the dose form in its name. Source: FHIR R4 dosage.html, value set route-codes; knowledge/routes.json. */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../../fhir/resource.ts';
import { foldedName, type Ingredient } from './knowledge.ts';
import { textsOf } from './medication.ts';
import type { DrugRules } from './rules.ts';
import { objectsIn } from './wash-out.ts';

/** `oral`, `intravenous`, ... as in knowledge/routes.json; `unknown` counts as reaching the whole body. */
export function routeOf(resource: Resource, display: string, { codes, v3, phrases }: DrugRules['routes']): string {
  for (const instruction of dosagesOf(resource)) {
    const concept = isJsonObject(instruction.route) ? instruction.route : undefined;
    if (concept === undefined) continue;
    for (const { code } of objectsIn(concept.coding)) {
      const known = typeof code === 'string' ? (own(codes, code) ?? own(v3, code)) : undefined;
      if (known !== undefined) return known;
    }
    for (const text of textsOf(concept)) {
      const known = own(phrases, foldedName(text)) ?? lastPhrase(text, phrases);
      if (known !== undefined) return known;
    }
  }
  return lastPhrase(display, phrases) ?? 'unknown';
}

/** True when the drug acts where it is put, and its ingredients are not among those that act anyway. */
export function isLocal(route: string, ingredients: readonly Ingredient[], routes: DrugRules['routes']): boolean {
  return routes.local.includes(route) && !ingredients.some((one) => routes.actsAnyway(one, route));
}

/** Dosages of a request, statement, dispense or administration. */
export function dosagesOf(resource: Resource): readonly JsonObject[] {
  const dosage: Json | undefined = resource.dosageInstruction ?? resource.dosage;
  return isJsonObject(dosage) ? [dosage] : objectsIn(dosage);
}

/** Names end with the form: `sumatriptan 20 MG/ACTUAT Nasal Spray`, `ketoconazole 2 % Topical Cream`. A site wins over a form. */
function lastPhrase(text: string, phrases: Readonly<Record<string, string>>): string | undefined {
  const words = foldedName(text.slice(0, 400)).split(' ');
  let found: string | undefined;
  for (const [index, word] of words.entries()) {
    const known = own(phrases, `${word} ${words[index + 1] ?? ''}`) ?? own(phrases, word);
    if (known === undefined) continue;
    // `Ophthalmic Ointment`, `Otic Solution for Injection`: the site was said first.
    if (found === undefined || found === 'oral' || found === 'intravenous') found = known;
  }
  return found;
}

const own = (table: Readonly<Record<string, string>>, key: string) =>
  Object.hasOwn(table, key) ? table[key] : undefined;
