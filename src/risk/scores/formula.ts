/**
 * Small formulas of score files: `142 * min(creatinine / k, 1) ^ a`, `pf < 200 and ventilated`. Three-valued: NaN is "not known", and a
 * comparison or a connective gives 1, 0 or NaN as in Kleene's logic, so that what is missing never counts as no.
 */

/** Values by name; a name without a value is not known. */
export type Values = ReadonlyMap<string, number>;
export interface Formula {
  readonly names: ReadonlySet<string>;
  readonly evaluate: (values: Values) => number;
}
type Node = (values: Values) => number;

const truth = (value: boolean): number => (value ? 1 : 0);
const isKnown = (value: number): boolean => !Number.isNaN(value);
const or = (facts: readonly number[]): number => {
  if (facts.some((fact) => isKnown(fact) && fact !== 0)) return 1;
  return facts.every(isKnown) ? 0 : Number.NaN;
};
const and = (facts: readonly number[]): number => {
  if (facts.some((fact) => fact === 0)) return 0;
  return facts.every(isKnown) ? 1 : Number.NaN;
};
const compared =
  (holds: (a: number, b: number) => boolean) =>
  (a: number, b: number): number =>
    isKnown(a) && isKnown(b) ? truth(holds(a, b)) : Number.NaN;

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '<': compared((a, b) => a < b),
  '<=': compared((a, b) => a <= b),
  '>': compared((a, b) => a > b),
  '>=': compared((a, b) => a >= b),
  '=': compared((a, b) => a === b),
  '!=': compared((a, b) => a !== b),
};
const SUMS: Readonly<Record<string, (a: number, b: number) => number>> = { '+': (a, b) => a + b, '-': (a, b) => a - b };
const PRODUCTS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0 ? Number.NaN : a / b),
};

/** Enough of the facts hold; 0 only when those not known could not make up for it. */
function atLeast([wanted = 0, ...facts]: readonly number[]): number {
  const met = facts.filter((fact) => isKnown(fact) && fact !== 0).length;
  if (met >= wanted) return 1;
  return met + facts.filter((fact) => !isKnown(fact)).length < wanted ? 0 : Number.NaN;
}
function choice([condition = Number.NaN, yes = Number.NaN, no = Number.NaN]: readonly number[]): number {
  if (!isKnown(condition)) return Number.NaN;
  return condition === 0 ? no : yes;
}

interface Call {
  /** Fewest and most arguments. */
  readonly takes: readonly [fewest: number, most: number];
  readonly give: (values: readonly number[]) => number;
}
/** THE table of functions. */
const CALLS: Readonly<Record<string, Call>> = {
  min: { takes: [2, 20], give: (values) => Math.min(...values) },
  max: { takes: [2, 20], give: (values) => Math.max(...values) },
  if: { takes: [3, 3], give: choice },
  atLeast: { takes: [2, 20], give: atLeast },
  /** The first value that is known. */
  either: { takes: [2, 20], give: (values) => values.find(isKnown) ?? Number.NaN },
  known: { takes: [1, 1], give: ([value = Number.NaN]) => truth(isKnown(value)) },
};

const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|([A-Za-z]\w*)|(<=|>=|!=|[-+*/^()<>=,]))/y;

/** Reads one formula, left to right; deepest first: power, sign, product, sum, comparison, not, and, or. */
class Reader {
  readonly names = new Set<string>();
  readonly #tokens: readonly string[];
  #next = 0;

  constructor(text: string) {
    const tokens: string[] = [];
    const pattern = new RegExp(TOKEN);
    while (pattern.lastIndex < text.trimEnd().length) {
      const from = pattern.lastIndex;
      const found = pattern.exec(text);
      if (found === null) throw new Error(`formula not understood at character ${from}: ${text}`);
      tokens.push(found[1] ?? found[2] ?? found[3] ?? '');
    }
    this.#tokens = tokens;
  }

  whole(): Node {
    const node = this.#or();
    if (this.#next < this.#tokens.length) throw new Error(`formula: unexpected ${this.#tokens[this.#next]}`);
    return node;
  }

  #takes(...wanted: readonly string[]): string | undefined {
    const token = this.#tokens[this.#next];
    if (token === undefined || !wanted.includes(token)) return undefined;
    this.#next++;
    return token;
  }

  #or(): Node {
    const nodes = [this.#and()];
    while (this.#takes('or') !== undefined) nodes.push(this.#and());
    const [only] = nodes;
    return only !== undefined && nodes.length === 1 ? only : (values) => or(nodes.map((node) => node(values)));
  }

  #and(): Node {
    const nodes = [this.#not()];
    while (this.#takes('and') !== undefined) nodes.push(this.#not());
    const [only] = nodes;
    return only !== undefined && nodes.length === 1 ? only : (values) => and(nodes.map((node) => node(values)));
  }

  #not(): Node {
    if (this.#takes('not') === undefined) return this.#comparison();
    const inner = this.#not();
    return (values) => choice([inner(values), 0, 1]);
  }

  #comparison(): Node {
    const left = this.#chain(SUMS, () => this.#chain(PRODUCTS, () => this.#power()));
    const compare = COMPARISONS[this.#takes(...Object.keys(COMPARISONS)) ?? ''];
    if (compare === undefined) return left;
    const right = this.#chain(SUMS, () => this.#chain(PRODUCTS, () => this.#power()));
    return (values) => compare(left(values), right(values));
  }

  #chain(operators: Readonly<Record<string, (a: number, b: number) => number>>, part: () => Node): Node {
    let node = part();
    for (;;) {
      const operate = operators[this.#takes(...Object.keys(operators)) ?? ''];
      if (operate === undefined) return node;
      const [left, right] = [node, part()];
      node = (values) => operate(left(values), right(values));
    }
  }

  #power(): Node {
    if (this.#takes('-') !== undefined) {
      const inner = this.#power();
      return (values) => -inner(values);
    }
    const base = this.#primary();
    if (this.#takes('^') === undefined) return base;
    const exponent = this.#power();
    return (values) => base(values) ** exponent(values);
  }

  #primary(): Node {
    if (this.#takes('(') !== undefined) return this.#closed(this.#or());
    const token = this.#tokens[this.#next++];
    if (token === undefined) throw new Error('formula ends too early');
    if (/^\d/.test(token)) {
      const constant = Number(token);
      return () => constant;
    }
    if (!/^[A-Za-z]/.test(token)) throw new Error(`formula: unexpected ${token}`);
    if (this.#takes('(') !== undefined) return this.#call(token);
    this.names.add(token);
    return (values) => values.get(token) ?? Number.NaN;
  }

  #closed(node: Node): Node {
    if (this.#takes(')') === undefined) throw new Error('formula: `)` is missing');
    return node;
  }

  #call(name: string): Node {
    const call = Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
    if (call === undefined) throw new Error(`formula: there is no function ${name}`);
    const nodes = [this.#or()];
    while (this.#takes(',') !== undefined) nodes.push(this.#or());
    const [fewest, most] = call.takes;
    if (nodes.length < fewest || nodes.length > most)
      throw new Error(`formula: ${name} takes ${fewest} to ${most} values`);
    return this.#closed((values) => call.give(nodes.map((node) => node(values))));
  }
}

/** A formula ready to evaluate. @throws Error saying what is not understood */
export function formulaOf(text: string): Formula {
  const reader = new Reader(text);
  const evaluate = reader.whole();
  return { names: reader.names, evaluate };
}
