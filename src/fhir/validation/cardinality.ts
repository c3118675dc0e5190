/** Arrays, null and the `_name` siblings of primitives. Source: json.html#primitive. */
import type { ElementDefinition } from '../definitions/definitions.ts';
import { isJsonObject, type Json } from '../resource.ts';
import type { Check } from './finding.ts';

/** An element that does not repeat. */
export function single(check: Check): Check {
  return (value, findings, parent) => {
    if (value === null) findings.report('structure', 'null is not a value.');
    else if (Array.isArray(value)) findings.report('structure', 'The element does not repeat: it is not an array.');
    else check(value, findings, parent);
  };
}

/** A repeating element. `primitive` is the JSON name of a primitive, whose null entries have a partner in `_name`. */
export function listCheck(check: Check, { min, max }: ElementDefinition, primitive: string | undefined): Check {
  return (value, findings, parent) => {
    if (!Array.isArray(value)) {
      findings.report('structure', 'The element repeats: it is a JSON array.');
      return;
    }
    if (value.length === 0) {
      findings.report('structure', 'The array is empty.');
      return;
    }
    if (value.length < min || value.length > max)
      findings.report('structure', `The element has ${min} to ${max} entries.`);
    const { path } = findings;
    for (let index = 0; index < value.length && !findings.full; index++) {
      const each: Json = value[index];
      path.push(index);
      if (each !== null) check(each, findings, parent);
      else if (primitive === undefined || !hasEntry(parent[`_${primitive}`], index)) {
        findings.report('structure', 'null is not a value.');
      }
      path.pop();
    }
  };
}

/** Id and extensions of a primitive, `_name` beside `name`. */
export function siblingCheck(check: Check, name: string): Check {
  return single((value, findings, parent) => {
    if (parent[name] === undefined || !isIdOnly(value)) check(value, findings, parent);
  });
}

/** Beside a value an id alone is enough; without one it is an empty element, ele-1. */
function isIdOnly(value: Json): boolean {
  return isJsonObject(value) && typeof value.id === 'string' && value.id !== '' && Object.keys(value).length === 1;
}

/** The array of ids and extensions beside an array of primitives: same length, null where there is nothing. */
export function siblingListCheck(check: Check, name: string): Check {
  return (value, findings, parent) => {
    if (!Array.isArray(value) || value.length === 0)
      return findings.report('structure', 'The element is a JSON array with entries.');
    const values = parent[name];
    if (Array.isArray(values) && values.length !== value.length) {
      findings.report('structure', 'The arrays of values and of extensions have different lengths.');
    }
    const { path } = findings;
    for (let index = 0; index < value.length && !findings.full; index++) {
      const each: Json = value[index];
      path.push(index);
      const hasValue = hasEntry(values, index);
      if (each === null && !hasValue) findings.report('structure', 'null is not a value.');
      else if (each !== null && !(hasValue && isIdOnly(each))) check(each, findings, parent);
      path.pop();
    }
  };
}

function hasEntry(list: Json | undefined, index: number): boolean {
  return Array.isArray(list) && list[index] !== undefined && list[index] !== null;
}
