/** What the detail of a score must say of its inputs, part by part: FDA CDS guidance 2026, criterion 4; 45 CFR 170.315(b)(11). Messages hold no card text. */

/** Values of the headings in lint.ts; the card is built with the same. */
interface Headings {
  readonly inputs: string;
  readonly missing: string;
  readonly model: string;
  readonly population: string;
}

const INSTANT = /^\d{4}-\d\d-\d\d \d\d:\d\d UTC(?: \(.+\))?$/;
/** What has no instant of its own: an age, or that nothing is recorded. */
const UNDATED = /^–(?: \(.+\))?$/;
const VERSION = /\bversion \d+\.\d+\.\d+\b/;
const NAMES_NO_MODEL = /^[^;]*\brules\b[^;]*$/;
const INSIDE = /Nothing recorded places this patient outside it\.|This patient is outside it for \S/;

/** Rows of inputs with value and date, what is missing, each model's version, and whether this patient is inside the population. */
export function inputProblems(detail: string, headings: Headings): readonly string[] {
  const parts = detail.split(/\n{2,}/);
  const after = (heading: string): readonly string[] => {
    const at = parts.findIndex((part) => part.startsWith(`**${heading}`));
    return at < 0 ? [] : parts.slice(at, at + 2);
  };
  const [, inputs = ''] = after(headings.inputs);
  const [missing = '', reasons = ''] = after(headings.missing);
  const [model = ''] = after(headings.model);
  const [population = ''] = after(headings.population);
  const models = model.split(';');
  return [
    ...(inputs === 'None.' ? [] : tableProblems(inputs)),
    ...(/:\*\* none\b/.test(missing) || /^- .+: .+/.test(reasons)
      ? []
      : ['missing inputs are not said with their reason']),
    ...(models.every((each) => VERSION.test(each) || NAMES_NO_MODEL.test(each)) ? [] : ['a model without its version']),
    ...(INSIDE.test(population) ? [] : ['whether this patient is inside the population is not said']),
  ];
}

/** The first column is the input, the second its value with unit, the last when it was measured. */
function tableProblems(table: string): readonly string[] {
  const rows = table.split('\n').map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
  const [head = [], , ...inputs] = rows;
  if (!/^(?:Measured|Recorded)$/.test(head.at(-1) ?? '') || head[1] !== 'Value' || inputs.length === 0) {
    return ['inputs are no table of values and dates'];
  }
  const isWhole = (row: readonly string[]) => row.length === head.length && row.every((cell) => cell !== '');
  return [
    ...(inputs.every(isWhole) ? [] : ['an input with an empty cell']),
    ...(inputs.some(([, value]) => value === '–') ? ['an input without value'] : []),
    ...(inputs.every((row) => INSTANT.test(row.at(-1) ?? '') || UNDATED.test(row.at(-1) ?? ''))
      ? []
      : ['an input without the instant it was measured at']),
  ];
}
