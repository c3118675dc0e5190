/** `_include` and `_revinclude`, checked against the claimed lists. Source: FHIR R4 search.html#include. */
import type { Capability } from '../definitions/capability.ts';
import type { SearchParameter } from '../definitions/definitions.ts';
import { fhirError } from '../outcome.ts';
import { unindexed } from './criteria.ts';
import { shownName } from './form.ts';
import type { Include } from './query.ts';

interface Asked {
  readonly source: string;
  readonly code: string;
  readonly target: string | undefined;
  readonly iterate: boolean;
}

/** `Type:parameter[:Target]`, `Type:*` or `*`. */
function asked(name: string, value: string): Asked {
  const [base = '', modifier, ...more] = name.split(':');
  if (more.length > 0 || (modifier !== undefined && modifier !== 'iterate')) {
    throw fhirError('unsupported-parameter', `\`${base}\` has the modifier :iterate only.`);
  }
  const iterate = modifier === 'iterate';
  if (value === '*') return { source: '*', code: '*', target: undefined, iterate };
  const [source = '', code = '', target, ...rest] = value.split(':');
  if (source === '' || code === '' || target === '' || rest.length > 0) {
    throw fhirError('value', `\`${base}\` is written \`Type:parameter\`, \`Type:parameter:Target\` or \`*\`.`);
  }
  return { source, code, target, iterate };
}

function refused(name: string, { source, code }: Asked, claims: readonly string[], capability: Capability): never {
  const unready = unindexed(capability, source, code);
  if (unready !== undefined) throw fhirError('not-indexed', `${unready}. Try again later.`);
  const valid = claims.length > 0 && claims.length <= 60 ? ` Valid are: ${claims.join(', ')}.` : '';
  throw fhirError(
    'unsupported-parameter',
    `\`${name.split(':')[0]}=${shownName(`${source}:${code}`)}\` is not supported.${valid}`,
  );
}

function referenceParameter(capability: Capability, source: string, code: string): SearchParameter | undefined {
  const parameter = capability.types.get(source)?.searchParameters.get(code);
  return parameter?.type === 'reference' ? parameter : undefined;
}

function checkTarget(parameter: SearchParameter, { target }: Asked, capability: Capability): void {
  if (target === undefined) return;
  const allowed = parameter.targets.length === 0 || parameter.targets.includes(target);
  if (!allowed || !capability.types.has(target)) {
    throw fhirError('value', `\`${parameter.code}\` has no served target \`${shownName(target)}\`.`);
  }
}

/** Includes for each `Source:code` of a claimed list. */
function each(claims: readonly string[], iterate: boolean, capability: Capability): readonly Include[] {
  return claims.flatMap((claim) => {
    const [source = '', code = ''] = claim.split(':');
    const parameter = referenceParameter(capability, source, code);
    return parameter === undefined ? [] : [{ source, parameter, target: undefined, iterate }];
  });
}

/** @throws FhirError `unsupported-parameter` when the claims of the source type do not have it; `value` when it is not well formed */
export function readInclude(type: string, name: string, value: string, capability: Capability): readonly Include[] {
  const include = asked(name, value);
  const source = include.source === '*' ? type : include.source;
  const claims = capability.types.get(source)?.includes ?? [];
  const everything = claims.includes('*');
  if (include.code === '*') {
    if (everything) return [{ source, parameter: '*', target: include.target, iterate: include.iterate }];
    const listed = each(claims, include.iterate, capability);
    return listed.length > 0 ? listed : refused(name, include, claims, capability);
  }
  const parameter = referenceParameter(capability, source, include.code);
  if (parameter === undefined || !(everything || claims.includes(`${source}:${include.code}`))) {
    return refused(name, include, claims, capability);
  }
  checkTarget(parameter, include, capability);
  return [{ source, parameter, target: include.target, iterate: include.iterate }];
}

/** With `:iterate` the source may point at included resources of any served type, so any type's claim will do. */
export function readRevInclude(type: string, name: string, value: string, capability: Capability): readonly Include[] {
  const include = asked(name, value);
  const own = capability.types.get(type)?.revIncludes ?? [];
  const claims = include.iterate ? [...capability.types.values()].flatMap(({ revIncludes }) => revIncludes) : own;
  if (include.code === '*') {
    const from = include.source === '*' ? '' : `${include.source}:`;
    const listed = each(
      own.filter((claim) => claim.startsWith(from)),
      include.iterate,
      capability,
    );
    return listed.length > 0 ? listed : refused(name, include, own, capability);
  }
  const parameter = referenceParameter(capability, include.source, include.code);
  if (parameter === undefined || !(claims.includes('*') || claims.includes(`${include.source}:${include.code}`))) {
    return refused(name, include, own, capability);
  }
  checkTarget(parameter, include, capability);
  return [{ source: include.source, parameter, target: include.target, iterate: include.iterate }];
}
