/**
 * eICU demo -> models/train/data/drug-orders.tsv.gz, the order streams that alert burden is measured on: `node models/train/drug-orders.ts <folder>`.
 * Source: eICU Collaborative Research Database Demo v2.0.1 (Pollard 2018, Sci Data 5:180178), ODbL 1.0; the table is a derived database under
 * the same licence. Lines: `S stay hospital age sex intensive-care-until ventilated-from ventilated-until` and, after it, its orders
 * `O ordered start stop route flags ingredient,ingredient`; minutes from admission to the unit, flags p (as needed) and 1 (once).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { loadDrugKnowledge } from '../../src/risk/drugs/knowledge.ts';
import { ofConcept } from '../../src/risk/drugs/medication.ts';
import { routeOf } from '../../src/risk/drugs/route.ts';

const [from] = process.argv.slice(2);
if (from === undefined) throw new TypeError('Usage: node models/train/drug-orders.ts <folder of the eICU demo>');

type Row = Readonly<Record<string, string>>;
function csv(file: string): readonly Row[] {
  const text = gunzipSync(readFileSync(join(from ?? '', file))).toString('utf8');
  const [head = '', ...lines] = text.split(/\r?\n/).filter((line) => line !== '');
  const names = head.split(',');
  return lines.map((line) => {
    const cells = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, plain]) => quoted ?? plain,
    );
    return Object.fromEntries(names.map((name, index) => [name, cells[index] ?? '']));
  });
}
const of = (row: Row, name: string) => row[name] ?? '';

const knowledge = loadDrugKnowledge(join(import.meta.dirname, '..', '..', 'knowledge'));
const namedIn = (text: string) => ofConcept({ text }, knowledge).ingredients;
const orders = csv('medications.csv.gz').filter((row) => of(row, 'drugordercancelled') !== 'Yes');

// Orders without a name have a class code: it means what most named orders with this code mean.
const byCode = new Map<string, Map<string, number>>();
for (const row of orders) {
  const set = namedIn(of(row, 'drugname')).join();
  const code = of(row, 'drughiclseqno');
  if (set === '' || code === '') continue;
  const counts = byCode.get(code) ?? new Map<string, number>();
  byCode.set(code, counts.set(set, (counts.get(set) ?? 0) + 1));
}
const ofCode = new Map(
  [...byCode].map(([code, counts]) => [code, [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? '']),
);

const ventilation = Map.groupBy(
  csv('treatments.csv.gz').filter((row) => of(row, 'treatmentstring').includes('|mechanical ventilation')),
  (row) => of(row, 'patientunitstayid'),
);
const byStay = Map.groupBy(orders, (row) => of(row, 'patientunitstayid'));
const DAY = 1440;
let mapped = 0;
const lines = csv('stays.csv.gz').flatMap((stay): readonly string[] => {
  const id = of(stay, 'patientunitstayid');
  const own = byStay.get(id) ?? [];
  const offsets = (ventilation.get(id) ?? []).map((row) => Number(of(row, 'treatmentoffset')));
  if (of(stay, 'vent') === '1.0') offsets.push(0);
  const ventilated = offsets.length === 0 ? ['', ''] : [Math.min(...offsets), Math.max(...offsets) + DAY];
  const until = of(stay, 'unitdischargeoffset');
  const age = of(stay, 'age').replace('> 89', '90');
  const told = own.flatMap((row): readonly (readonly [number, string])[] => {
    const named = namedIn(of(row, 'drugname')).join();
    const set = named === '' ? (ofCode.get(of(row, 'drughiclseqno')) ?? '') : named;
    if (set === '') return [];
    mapped += 1;
    const said = of(row, 'routeadmin');
    const route = routeOf(
      { resourceType: 'MedicationRequest', dosageInstruction: [{ route: { text: said } }] },
      of(row, 'drugname'),
      knowledge.rules.routes,
    );
    const once = /^(?:once|one|onetime|1xonly|one time|on ?call|stat)/i.test(of(row, 'frequency'));
    const flags = `${of(row, 'prn') === 'Yes' ? 'p' : ''}${once ? '1' : ''}`;
    const ordered = Number(of(row, 'drugorderoffset'));
    return [
      [ordered, ['O', ordered, of(row, 'drugstartoffset'), of(row, 'drugstopoffset'), route, flags, set].join('\t')],
    ];
  });
  if (told.length === 0) return [];
  const head = ['S', id, of(stay, 'hospitalid'), age, of(stay, 'gender').toLowerCase(), until, ...ventilated].join(
    '\t',
  );
  return [head, ...told.toSorted(([a], [b]) => a - b).map(([, line]) => line)];
});
writeFileSync(join(import.meta.dirname, 'data', 'drug-orders.tsv.gz'), gzipSync(`${lines.join('\n')}\n`, { level: 9 }));
process.stdout.write(`${byStay.size} stays with orders, ${orders.length} orders, ${mapped} mapped\n`);
