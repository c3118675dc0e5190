/** Where terminology operations find definitions: the body, the store under the caller's access, then the published ones. */
import { FhirError } from '../../fhir/outcome.ts';
import type { Resource } from '../../fhir/resource.ts';
import type { Resolve } from '../../fhir/terminology/terminology.ts';
import type { Caller, RestContext } from '../context.ts';
import { terminology } from '../interactions/terminology.ts';
import { type OperationInput, resourceOf } from './operation.ts';

/** A resource of the store goes before a published one of the same canonical. Each is read once. */
export function resolving(caller: Caller, context: RestContext): Resolve {
  const held = terminology(caller, context);
  const found = async (
    type: 'CodeSystem' | 'ValueSet',
    url: string,
    version: string,
  ): Promise<Resource | undefined> => {
    const own = await held.byUrl(type, url, version);
    if (own !== undefined) return own;
    const published = context.definitions.published(type, url);
    return version === '' || published?.version === version ? published : undefined;
  };
  return {
    codeSystem: (url, version) => found('CodeSystem', url, version),
    valueSet: (url, version) => found('ValueSet', url, version),
  };
}

/**
 * A resource that was sent as a parameter.
 * @throws FhirError with every error of it: what is not valid is not computed with
 */
export function given(input: OperationInput, name: string, { validate }: RestContext): Resource | undefined {
  const resource = resourceOf(input.get(name)?.[0]);
  if (resource === undefined) return undefined;
  const [first, ...others] = validate(resource).filter(({ severity = 'error' }) => severity === 'error');
  if (first !== undefined) throw new FhirError([first, ...others]);
  return resource;
}
