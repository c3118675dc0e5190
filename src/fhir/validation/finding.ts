/** Where a validation stands and what it has found: one per resource tree. */
import type { ErrorKind, Issue } from '../outcome.ts';
import type { Json, JsonObject } from '../resource.ts';

/** Findings beyond this many are counted as one closing note. */
export const ISSUE_LIMIT = 100;
/** Of them, those that are no errors: warnings never keep an error from being found. */
export const WARNING_LIMIT = 50;
/** What a property name may look like to be repeated in an expression; others could carry anything. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** What references inside one resource (contained ones included) may point at and do point at; references.html#contained. */
export interface Scope {
  /** Ids of the contained resources -> their type. */
  readonly contained: ReadonlyMap<string, string>;
  /** Fragments that something points at, without `#`. */
  readonly used: Set<string>;
  /** Ids of contained resources that point at their container (`#`). */
  readonly upward: Set<string>;
  /** Id of the contained resource being looked at. */
  inside: string | undefined;
}

export function newScope(contained: ReadonlyMap<string, string>): Scope {
  return { contained, used: new Set(), upward: new Set(), inside: undefined };
}

/** Reports on an element, value already known to be present and not null. `parent` is the object that holds it. */
export type Check = (value: Json, findings: Findings, parent: JsonObject) => void;

export class Findings {
  readonly #issues: Issue[] = [];
  #warnings = 0;
  /** Names and indexes from the resource to the element being looked at. */
  readonly path: (string | number)[];
  scope: Scope = newScope(new Map());

  constructor(root: string) {
    this.path = [root];
  }

  get full(): boolean {
    return this.#issues.length > ISSUE_LIMIT;
  }

  /** Notes an issue at the current element, or at one below it. */
  report(kind: ErrorKind, message: string, below?: string, severity?: Issue['severity']): void {
    if (severity !== undefined && severity !== 'error' && ++this.#warnings > WARNING_LIMIT) return;
    const expression = this.#expression(below);
    const issue = { kind, message, expression, ...(severity === undefined ? {} : { severity }) };
    if (this.#issues.length < ISSUE_LIMIT) this.#issues.push(issue);
    else if (!this.full) {
      this.#issues.push({
        kind: 'structure',
        severity: 'information',
        message: `More than ${ISSUE_LIMIT} findings; the rest is left out.`,
      });
    }
  }

  #expression(below: string | undefined): string {
    let text = '';
    for (const step of below === undefined ? this.path : [...this.path, below]) {
      if (typeof step === 'number') text += `[${step}]`;
      else text += (text === '' ? '' : '.') + (NAME.test(step) ? step : '(unnamed)');
    }
    return text;
  }

  issues(): readonly Issue[] {
    if (this.#warnings <= WARNING_LIMIT) return this.#issues;
    const message = `More than ${WARNING_LIMIT} warnings; the rest is left out.`;
    return [...this.#issues, { kind: 'structure', severity: 'information', message }];
  }
}
