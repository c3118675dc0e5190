/**
 * Source tables -> the compact tables of knowledge/. Run by hand: `node scripts/knowledge.ts <folder>`.
 * The folder holds `ddi/` (onc_high_priority_pairs.csv, onc_low_priority_pairs.csv, label_rules.json, label_pairs_expanded.csv.gz, drug_classes.csv,
 * ndfrt_va_pairs.csv, fda_cyp_transporters.csv),
 * `rxnorm/` (rxnorm_ingredients.csv, drug_list.csv, rxcui_to_ingredient.csv.gz, rxcui_names.csv.gz), allergy_cross_reactivity.json
 * and duplicate_therapy.json. The tables listed in HAND_WRITTEN are written by hand and only hashed here.
 * Sources and licences of each: knowledge/SOURCE.md.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { MORE_LABEL } from './knowledge-label.ts';
import {
  ALIASES,
  ALLERGY_CITATION,
  CLASSES,
  DOSE_FORMS,
  FORMS,
  HAND_WRITTEN,
  HIGH_PRIORITY,
  NOT_IN_GROUP,
  SOURCES,
  VERSION,
} from './knowledge-text.ts';
import { CITATION_WORDS, inWords, LABEL_WORDS, RATIONALES } from './knowledge-words.ts';

const [from] = process.argv.slice(2);
if (from === undefined) throw new TypeError('Usage: node scripts/knowledge.ts <folder with the source tables>');
const OUT = join(import.meta.dirname, '..', 'knowledge');

type Row = Readonly<Record<string, string>>;

function cellsOf(line: string): readonly string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}
function csv(file: string): readonly Row[] {
  const bytes = readFileSync(join(from ?? '', file));
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  const [head = '', ...lines] = text.split(/\r?\n/).filter((line) => line !== '');
  const names = cellsOf(head);
  return lines.map((line) => {
    const cells = cellsOf(line);
    return Object.fromEntries(names.map((name, index) => [name, cells[index] ?? '']));
  });
}
/** The source JSON is ours to trust here: the schema check of what is written follows at load. */
const json = <T>(file: string): T => JSON.parse(readFileSync(join(from ?? '', file), 'utf8')) as T;
const of = (row: Row, name: string): string => row[name] ?? '';

// --- ingredients -----------------------------------------------------------------------------------------------------
const ingredientsOf = new Map<number, readonly string[]>();
for (const row of csv('rxnorm/rxcui_to_ingredient.csv.gz')) {
  const product = Number(of(row, 'rxcui'));
  const ingredient = of(row, 'rxcui_ingr');
  ingredientsOf.set(product, [...(ingredientsOf.get(product) ?? []), FORMS[ingredient] ?? ingredient]);
}
/** Salts and forms are their ingredient. */
function canonical(rxcui: string): string {
  const [base, ...others] = ingredientsOf.get(Number(rxcui)) ?? [];
  return base === undefined || others.length > 0 ? (FORMS[rxcui] ?? rxcui) : base;
}
const fold = (name: string) => name.trim().toLowerCase();
const names = new Map<string, Set<string>>();
const idByName = new Map<string, string>();
function known(name: string, rxcui: string | null | undefined): string {
  const id =
    (rxcui && canonical(rxcui)) || idByName.get(fold(name)) || `name:${fold(name).replace(/[^a-z0-9]+/g, '-')}`;
  const all = names.get(id) ?? new Set<string>();
  names.set(id, all.add(fold(name)));
  if (!idByName.has(fold(name))) idByName.set(fold(name), id);
  return id;
}
const named = [...csv('rxnorm/drug_list.csv'), ...csv('rxnorm/rxnorm_ingredients.csv')].filter(
  (row) => !DOSE_FORMS.has(of(row, 'name')),
);
// The name of the ingredient itself comes first: it is the one shown.
for (const row of named) if (canonical(of(row, 'rxcui')) === of(row, 'rxcui')) known(of(row, 'name'), of(row, 'rxcui'));
for (const row of named) known(of(row, 'name'), of(row, 'rxcui'));
const classes = new Map<string, string[]>();
for (const row of csv('ddi/drug_classes.csv')) {
  classes.set(of(row, 'class'), [...(classes.get(of(row, 'class')) ?? []), known(of(row, 'drug'), of(row, 'rxcui'))]);
}

for (const [name, drugs] of Object.entries(CLASSES)) {
  classes.set(name, [...(classes.get(name) ?? []), ...drugs.map((drug) => known(drug, null))]);
}

// --- interactions ----------------------------------------------------------------------------------------------------
interface Rule {
  readonly id: string;
  readonly severity: 'contraindicated' | 'major' | 'moderate' | 'low';
  readonly a: readonly string[];
  readonly b: readonly string[];
  readonly effect: string;
  readonly citation: string;
  readonly url?: string;
}
const unique = (ids: readonly string[]) => [...new Set(ids)];

function oncRules(
  file: string,
  title: (row: Row) => string,
  make: (id: string, title: string) => Omit<Rule, 'a' | 'b'>,
): Rule[] {
  const groups = Map.groupBy(csv(file), (row) => of(row, 'rule'));
  return [...groups].map(([id, rows]) => {
    const a = unique(rows.map((row) => known(of(row, 'drug_a'), of(row, 'rxcui_a'))));
    const b = unique(rows.map((row) => known(of(row, 'drug_b'), of(row, 'rxcui_b'))));
    const expanded = new Set(
      a.flatMap((one) => b.filter((other) => other !== one).map((other) => [one, other].toSorted().join())),
    );
    const pairs = new Set(
      rows.map((row) =>
        [known(of(row, 'drug_a'), of(row, 'rxcui_a')), known(of(row, 'drug_b'), of(row, 'rxcui_b'))].toSorted().join(),
      ),
    );
    if (expanded.symmetricDifference(pairs).size > 0)
      throw new TypeError(`${file} rule ${id}: not the product of two classes`);
    return { ...make(id, title(rows[0] ?? {})), a, b };
  });
}
const high = oncRules(
  'ddi/onc_high_priority_pairs.csv',
  (row) => of(row, 'title'),
  (id, title) => ({
    id: `ONC-HP-${id}`,
    severity: 'contraindicated',
    effect: HIGH_PRIORITY[id] ?? title,
    citation: `Phansalkar 2012, JAMIA 19:735, rule ${id}: ${title}`,
    url: 'https://doi.org/10.1136/amiajnl-2011-000612',
  }),
);
const low = oncRules(
  'ddi/onc_low_priority_pairs.csv',
  // A class without a name is one drug.
  (row) => `${of(row, 'class_a') || of(row, 'drug_a')} with ${of(row, 'class_b') || of(row, 'drug_b')}`,
  (id, title) => ({
    id: `ONC-LP-${id}`,
    severity: 'low',
    effect: `${title}: an expert panel found that this pair should not interrupt.`,
    citation: `Phansalkar 2013, JAMIA 20:489, rule ${id}`,
    url: 'https://doi.org/10.1136/amiajnl-2012-001089',
  }),
);

interface LabelRule {
  readonly id: string;
  readonly a: string | readonly string[];
  readonly b: string | readonly string[];
  readonly c?: string;
  readonly severity: string;
  readonly mechanism: string;
  readonly source: string;
}
// S001 names a class that drug_classes.csv lacks; its members are the partners in the expanded pairs.
const maoi = new Set(classes.get('MAOI'));
const partners = csv('ddi/label_pairs_expanded.csv.gz')
  .filter((row) => of(row, 'rule') === 'S001')
  .flatMap((row) => [known(of(row, 'drug_a'), of(row, 'rxcui_a')), known(of(row, 'drug_b'), of(row, 'rxcui_b'))]);
classes.set('MAOI_contra_partner', unique(partners.filter((id) => !maoi.has(id))));
const members = (side: string | readonly string[]): readonly string[] =>
  typeof side === 'string' ? (classes.get(side) ?? [known(side, null)]) : side.map((name) => known(name, null));
const label = json<{ readonly rules: readonly LabelRule[] }>('ddi/label_rules.json').rules.flatMap(
  (rule): readonly Rule[] => {
    const { severity } = rule;
    if (rule.c !== undefined || (severity !== 'contraindicated' && severity !== 'major' && severity !== 'moderate')) {
      return [];
    }
    const verb = severity === 'contraindicated' ? 'contraindicates' : 'warns of';
    const effect = `The prescribing information ${verb} this combination: ${LABEL_WORDS[rule.id] ?? rule.mechanism}.`;
    const [a, b] = [unique(members(rule.a)), unique(members(rule.b))];
    const citation = CITATION_WORDS.reduce((text, [short, words]) => text.replace(short, words), rule.source);
    return [{ id: `LABEL-${rule.id}`, severity, a, b, effect, citation }];
  },
);

const side = (names: readonly string[]) =>
  unique(names.flatMap((name) => (name.startsWith('@') ? (classes.get(name.slice(1)) ?? []) : [known(name, null)])));
const more = MORE_LABEL.map(({ id, severity, a, b, harm, source }): Rule => {
  const verb = severity === 'contraindicated' ? 'contraindicates' : 'warns of';
  const effect = `The prescribing information ${verb} this combination: ${harm}.`;
  return { id: `LABEL-${id}`, severity, a: side(a), b: side(b), effect, citation: source };
});

// --- other public tables: never interruptive by themselves, they add evidence and breadth ---------------------------------------
const isTogether = (one: string, other: string) =>
  [...ingredientsOf.values()].some((set) => set.includes(one) && set.includes(other));
const fixed = new Map<string, boolean>();
const isFixedCombination = (one: string, other: string) => {
  const key = [one, other].toSorted().join();
  const already = fixed.get(key) ?? isTogether(one, other);
  fixed.set(key, already);
  return already;
};
const veterans = Object.entries(
  Object.groupBy(
    csv('ddi/ndfrt_va_pairs.csv')
      .map((row) => ({
        a: known(of(row, 'drug_a'), of(row, 'rxcui_a')),
        b: known(of(row, 'drug_b'), of(row, 'rxcui_b')),
        severity: of(row, 'severity') === 'critical' ? ('moderate' as const) : ('low' as const),
      }))
      .filter(({ a, b }) => a !== b && !isFixedCombination(a, b)),
    ({ a, severity }) => `${a} ${severity}`,
  ),
).map(([key, rows = []]): Rule => {
  const [a = '', severity = ''] = key.split(' ');
  const level = severity === 'moderate' ? 'critical' : 'significant';
  return {
    id: `VA-${level}-${a.replace('name:', '')}`,
    severity: severity === 'moderate' ? 'moderate' : 'low',
    a: [a],
    b: unique(rows.map(({ b }) => b)),
    effect: `The list of the US Department of Veterans Affairs called this pair ${level}; it gives no mechanism.`,
    citation: 'US Department of Veterans Affairs, NDF-RT (public domain, retired 2014), via Ayvaz 2015',
  };
});
const pathways = Map.groupBy(csv('ddi/fda_cyp_transporters.csv'), (row) => `${of(row, 'pathway')} ${of(row, 'role')}`);
const inRole = (pathway: string, role: string) =>
  unique((pathways.get(`${pathway} ${role}`) ?? []).map((row) => known(of(row, 'drug'), of(row, 'rxcui'))));
/** Of the moderate inhibitors: every drug of narrow therapeutic index, and for CYP3A the sensitive substrates, whose exposure they raise two to five times. */
const FDA_ROLES = [
  { role: 'strong_inhibitor', does: 'A strong {} inhibitor raises', sensitive: () => true },
  { role: 'strong_inducer', does: 'A strong {} inducer lowers', sensitive: () => true },
  {
    role: 'moderate_inhibitor',
    does: 'A moderate {} inhibitor raises',
    sensitive: (pathway: string) => pathway === 'CYP3A',
  },
] as const;
const fda = ['CYP3A', 'CYP1A2', 'CYP2B6', 'CYP2C8', 'CYP2C9', 'CYP2C19', 'CYP2D6'].flatMap((pathway) =>
  FDA_ROLES.flatMap(({ role, does, sensitive }): readonly Rule[] => {
    const a = inRole(pathway, role);
    const victims = sensitive(pathway) ? inRole(pathway, 'sensitive_substrate') : [];
    const b = unique([...victims, ...inRole(pathway, 'narrow_therapeutic_index')]);
    if (a.length === 0 || b.length === 0) return [];
    const which = sensitive(pathway) ? 'sensitive' : 'narrowly dosed';
    return [
      {
        id: `FDA-${pathway}-${role}`,
        severity: 'moderate',
        a,
        b,
        effect: `${does.replace('{}', pathway)} the exposure of a ${which} ${pathway} substrate.`,
        citation: 'FDA, Drug Development and Drug Interactions: Table of Substrates, Inhibitors and Inducers',
      },
    ];
  }),
);

// --- products, brands, other names ---------------------------------------------------------------------------------------------
const setOf = (product: number) =>
  unique(ingredientsOf.get(product) ?? [])
    .toSorted()
    .join(',');
const bySet = Map.groupBy(
  [...ingredientsOf.keys()].toSorted((a, b) => a - b),
  setOf,
);
const products = [...bySet].map(([set, codes]) => {
  const steps = codes.map((code, index) => (code - (codes[index - 1] ?? 0)).toString(36));
  return `${set}\t${steps.join(' ')}`;
});

const NOT_A_BRAND =
  /^(?:.{1,3}|relief|complete|today|advance|balance|cold|cough|allergy|daily|children|plus|pain|night|day|sleep|aid|rid|air|ting|poxi|stye|maki)$/;
const brandSets = new Map<string, Map<string, number>>();
for (const row of csv('rxnorm/rxcui_names.csv.gz')) {
  const brand = /\[([^\]]+)\]$/.exec(of(row, 'drug_name'))?.[1];
  const set = setOf(Number(of(row, 'rxcui')));
  if (brand === undefined || set === '' || NOT_A_BRAND.test(brand) || idByName.has(brand)) continue;
  const counts = brandSets.get(brand) ?? new Map<string, number>();
  brandSets.set(brand, counts.set(set, (counts.get(set) ?? 0) + 1));
}
const branded = [...brandSets].map(([brand, counts]) => {
  const [best] = [...counts].toSorted(([a, x], [b, y]) => y - x || a.localeCompare(b));
  return `${brand}\t${best?.[0] ?? ''}`;
});
const aliases = Object.entries(ALIASES).map(
  ([alias, drugs]) => `${alias}\t${drugs.map((name) => known(name, null)).join(',')}`,
);
const brands = [...branded.filter((line) => ALIASES[line.split('\t')[0] ?? ''] === undefined), ...aliases];

// --- allergies and duplicates ----------------------------------------------------------------------------------------
interface AllergySource {
  readonly groups: Readonly<Record<string, readonly { readonly name: string; readonly rxcui: string | null }[]>>;
  readonly rules: readonly Readonly<{
    allergy: string;
    target: string;
    level: string;
    symmetric: boolean;
    rationale: string;
  }>[];
  readonly sources: readonly string[];
}
const allergy = json<AllergySource>('allergy_cross_reactivity.json');
const allergies = {
  groups: Object.fromEntries(
    Object.entries(allergy.groups).map(([name, drugs]) => [
      name,
      drugs.filter((drug) => !NOT_IN_GROUP[name]?.includes(drug.name)).map((drug) => known(drug.name, drug.rxcui)),
    ]),
  ),
  names: Object.fromEntries(Object.keys(allergy.groups).map((name) => [name, inWords(name)])),
  rules: allergy.rules
    .filter(({ allergy: documented, level }) => documented !== 'same_ingredient' && level !== 'none')
    .map((rule) => ({ ...rule, rationale: RATIONALES[rule.rationale] ?? rule.rationale })),
  sources: allergy.sources,
  citation: ALLERGY_CITATION,
};
interface DuplicateSource {
  readonly classes: readonly Readonly<{ cls: string; tier: string; max_active: number }>[];
  readonly cross_class: readonly Readonly<{ a: string; b: string; tier: string }>[];
}
const duplicate = json<DuplicateSource>('duplicate_therapy.json');
const duplicates = [
  ...duplicate.classes.map(({ cls, tier, max_active }) => ({ id: `DUP-${cls}`, a: cls, b: cls, tier, max_active })),
  ...duplicate.cross_class.map(({ a, b, tier }) => ({ id: `DUP-${a}-${b}`, a, b, tier, max_active: 1 })),
].map(({ id, a, b, tier, max_active }) => {
  const [left, right] = [classes.get(a), classes.get(b)];
  if (left === undefined || right === undefined) throw new TypeError(`Duplicate rule ${id} names an unknown class`);
  // Two of a class that is common in twos (opioids, antiemetics) is worth knowing, not worth saying.
  const severity = tier === 'interruptive' && max_active === 1 ? 'moderate' : 'low';
  return { id, severity, names: [a, b].map(inWords), a: unique(left), b: unique(right) };
});

// --- write -----------------------------------------------------------------------------------------------------------
const atc = csv('rxnorm/rxnorm_ingredients.csv').flatMap((row) =>
  of(row, 'atc') === ''
    ? []
    : of(row, 'atc')
        .split(/[;| ]+/)
        .filter((code) => /^[A-Z]\d{2}[A-Z]{2}\d{2}$/.test(code))
        .map((code) => `${code}\t${canonical(of(row, 'rxcui'))}`),
);
const ingredients = [...names].map(([id, all]) => [id, ...all].join('\t')).toSorted();
const rows = (items: readonly object[]) => `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]\n`;
const packed = (lines: readonly string[]) => gzipSync(`${lines.join('\n')}\n`, { level: 9 });
const tables: Readonly<Record<string, Buffer | string>> = {
  'ingredients.tsv.gz': packed(ingredients),
  'products.tsv.gz': packed(products.toSorted()),
  'brands.tsv.gz': packed(brands.toSorted()),
  'atc.tsv.gz': packed(atc.toSorted()),
  'interactions.json': rows([...high, ...label, ...more, ...low, ...veterans, ...fda]),
  'classes.json': `${JSON.stringify(Object.fromEntries([...classes].map(([name, ids]) => [name, unique(ids)])), null, 1).replace(/\n\s{2,}/g, '')}\n`,
  'allergies.json': `${JSON.stringify(allergies, null, 1).replace(/\n\s{3,}/g, ' ')}\n`,
  'duplicates.json': rows(duplicates),
};
for (const [file, content] of Object.entries(tables)) writeFileSync(join(OUT, file), content);
const files = [...Object.keys(tables), ...HAND_WRITTEN].map((file) => ({
  file,
  sha256: createHash('sha256')
    .update(readFileSync(join(OUT, file)))
    .digest('hex'),
  ...SOURCES[file],
}));
writeFileSync(join(OUT, 'manifest.json'), `${JSON.stringify({ ...VERSION, files }, null, 2)}\n`);
process.stdout.write(
  `${names.size} ingredients, ${ingredientsOf.size} products, ${brands.length} brands, ${high.length + low.length + label.length + more.length + veterans.length + fda.length} rules, ${atc.length} ATC codes\n`,
);
