/** $convert: the resource that is sent, in the format that is asked for. Source: FHIR R4 resource-operation-convert.html. Nothing is read or stored. */
import { FhirError, fhirError, statusOf } from '../../fhir/outcome.ts';
import { serialize } from '../../fhir/resource.ts';
import { type Operation, resourceOf } from './operation.ts';
import { answered } from './output.ts';

/** What breaks the base structure cannot be written in another format: refused. Broken rules can. */
export const CONVERT: Operation = {
  levels: ['system'],
  takes: ['input'],
  heavy: true,
  perform: async (call, _caller, context) => {
    const resource = resourceOf(call.input.get('input')?.[0]);
    if (resource === undefined) throw fhirError('required', '`$convert` needs a resource as `input`.');
    const [first, ...others] = context
      .validate(resource)
      .filter(({ kind, severity = 'error' }) => severity === 'error' && statusOf(kind) === 400);
    if (first !== undefined) throw new FhirError([first, ...others]);
    return answered(call, serialize(resource), [], context);
  },
};
