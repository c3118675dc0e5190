/**
 * Grammar of the FHIRPath subset that R4 search parameters use. Source: hl7.org/fhirpath N1, and the 1,378 published expressions:
 * paths, unions, `as`/`is`/`ofType`, `where(...)`, `exists()`, `extension(url)`, `hasExtension(url)`, `[n]`, `resolve() is T`, `=`/`!=`, `and`/`or`.
 */

export type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'cast'; readonly type: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'where'; readonly condition: Condition }
  | { readonly kind: 'extension'; readonly url: string };

/** Steps from the focus; `root` names where it starts: a type, `%resource`, or undefined for the focus itself. */
export interface Path {
  readonly root: string | undefined;
  readonly steps: readonly Step[];
}
export type Condition =
  | { readonly kind: 'exists'; readonly path: Path }
  | { readonly kind: 'compare'; readonly path: Path; readonly equal: boolean; readonly literal: string | boolean }
  | { readonly kind: 'resolves'; readonly type: string }
  | { readonly kind: 'hasExtension'; readonly url: string }
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition };

/** What an expression gives: the nodes of every path, or one boolean. */
export type Expression =
  | { readonly kind: 'paths'; readonly paths: readonly Path[] }
  | { readonly kind: 'boolean'; readonly condition: Condition };

/** The expression is outside the subset. */
export class PathSyntaxError extends Error {}

const TOKEN = /\s*(?:([A-Za-z_%][A-Za-z0-9_]*)|'((?:[^'\\]|\\.)*)'|(\d+)|(!=|[().|=[\]]))/y;

interface Token {
  readonly kind: 'name' | 'text' | 'number' | 'sign' | 'end';
  readonly text: string;
}

function tokens(expression: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  const end = expression.trimEnd().length;
  while (at < end) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(expression);
    if (match === null) throw new PathSyntaxError(`Not understood at ${at}: ${expression}`);
    at = TOKEN.lastIndex;
    const [, name, text, number, sign] = match;
    if (name !== undefined) found.push({ kind: 'name', text: name });
    else if (text !== undefined) found.push({ kind: 'text', text: text.replace(/\\(.)/g, '$1') });
    else if (number !== undefined) found.push({ kind: 'number', text: number });
    else found.push({ kind: 'sign', text: sign ?? '' });
  }
  return found;
}

const END: Token = { kind: 'end', text: 'the end' };

/** Reads one expression. @throws PathSyntaxError outside the subset */
export function parseExpression(expression: string): Expression {
  return new Reader(expression).expression();
}

/** A recursive-descent reader; its state is the position. */
class Reader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(expression: string) {
    this.#tokens = tokens(expression);
  }

  expression(): Expression {
    const start = this.#at;
    const paths = this.#union();
    if (this.#peek() === END) return { kind: 'paths', paths };
    this.#at = start;
    const condition = this.#condition();
    this.#expectEnd();
    return { kind: 'boolean', condition };
  }

  #peek(ahead = 0): Token {
    return this.#tokens[this.#at + ahead] ?? END;
  }
  #is(text: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return token.text === text && (token.kind === 'sign' || token.kind === 'name');
  }
  #take(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#at++;
    return true;
  }
  #expect(text: string): void {
    if (!this.#take(text)) throw new PathSyntaxError(`Expected ${text} instead of ${this.#peek().text}.`);
  }
  #expectEnd(): void {
    if (this.#peek() !== END) throw new PathSyntaxError(`${this.#peek().text} is outside the subset.`);
  }
  #next(kind: Token['kind']): string {
    const token = this.#peek();
    if (token.kind !== kind) throw new PathSyntaxError(`Expected a ${kind} instead of ${token.text}.`);
    this.#at++;
    return token.text;
  }

  #union(): readonly Path[] {
    const paths = [...this.#cast()];
    while (this.#take('|')) paths.push(...this.#cast());
    return paths;
  }

  /** `path as Type`. */
  #cast(): readonly Path[] {
    const paths = this.#term();
    if (!this.#take('as')) return paths;
    const type = this.#next('name');
    return paths.map((path) => extended(path, [{ kind: 'cast', type }]));
  }

  /** A path, or a parenthesised union with steps behind it. */
  #term(): readonly Path[] {
    if (this.#take('(')) {
      const inner = this.#union();
      this.#expect(')');
      const steps = this.#steps();
      return inner.map((path) => extended(path, steps));
    }
    const first = this.#is('(', 1) ? undefined : this.#next('name');
    if (first === undefined) return [{ root: undefined, steps: [...this.#call(this.#next('name')), ...this.#steps()] }];
    const rooted = /^[A-Z%]/.test(first);
    const steps = this.#steps();
    return [rooted ? { root: first, steps } : { root: undefined, steps: [{ kind: 'field', name: first }, ...steps] }];
  }

  /** `.field`, `.call(...)` and `[n]` as long as they come; stops before `.exists()`, which only a condition may hold. */
  #steps(): readonly Step[] {
    const steps: Step[] = [];
    for (;;) {
      if (this.#take('[')) {
        steps.push({ kind: 'index', index: Number(this.#next('number')) });
        this.#expect(']');
      } else if (this.#is('.') && !this.#is('exists', 1)) {
        this.#at++;
        const name = this.#next('name');
        steps.push(...(this.#is('(') ? this.#call(name) : [{ kind: 'field', name } as const]));
      } else return steps;
    }
  }

  #call(name: string): readonly Step[] {
    this.#expect('(');
    const steps = this.#argument(name);
    this.#expect(')');
    return steps;
  }

  #argument(name: string): readonly Step[] {
    switch (name) {
      case 'as':
      case 'ofType':
        return [{ kind: 'cast', type: this.#next('name') }];
      case 'where':
        return [{ kind: 'where', condition: this.#condition() }];
      case 'extension':
        return [{ kind: 'extension', url: this.#next('text') }];
      default:
        throw new PathSyntaxError(`${name}() is outside the subset.`);
    }
  }

  #condition(): Condition {
    let left = this.#comparison();
    for (;;) {
      const kind = this.#is('and') ? 'and' : this.#is('or') ? 'or' : undefined;
      if (kind === undefined) return left;
      this.#at++;
      left = { kind, left, right: this.#comparison() };
    }
  }

  #comparison(): Condition {
    if (this.#is('resolve')) {
      this.#at++;
      this.#expect('(');
      this.#expect(')');
      this.#expect('is');
      return { kind: 'resolves', type: this.#next('name') };
    }
    if (this.#is('hasExtension')) {
      this.#at++;
      this.#expect('(');
      const url = this.#next('text');
      this.#expect(')');
      return { kind: 'hasExtension', url };
    }
    const path = this.#single();
    if (this.#take('.')) {
      this.#expect('exists');
      this.#expect('(');
      this.#expect(')');
      return { kind: 'exists', path };
    }
    const equal = this.#take('=');
    if (!equal) this.#expect('!=');
    return { kind: 'compare', path, equal, literal: this.#literal() };
  }

  #single(): Path {
    const [path, ...others] = this.#term();
    if (path === undefined || others.length > 0) throw new PathSyntaxError('A condition needs one path.');
    return path;
  }

  #literal(): string | boolean {
    if (this.#take('true')) return true;
    if (this.#take('false')) return false;
    return this.#next('text');
  }
}

function extended(path: Path, steps: readonly Step[]): Path {
  return { root: path.root, steps: [...path.steps, ...steps] };
}
