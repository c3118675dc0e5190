/** Which Patients' compartments a resource lies in. Source: FHIR R4 compartmentdefinition-patient.html. */
import type { Definitions } from './definitions/definitions.ts';
import { compilePath, rootPlace, type Scope, type Visit } from './path/path.ts';
import { isJsonObject, type Json, type Resource } from './resource.ts';
import { localReference } from './search/value.ts';

const COMPARTMENT = 'Patient';

interface PatientScope extends Scope {
  readonly patients: string[];
}

/** The reference text of a Reference or canonical. */
function referenceText(value: Json): string | undefined {
  const text = isJsonObject(value) ? value.reference : value;
  return typeof text === 'string' ? text : undefined;
}

/**
 * Compiles the Patient compartment. The result gives the ids of the Patients a resource belongs to, each once; a Patient names itself.
 * Only references to this server count: relative ones and those below `fhirBase`.
 */
export function patientsOf(
  definitions: Definitions,
  { fhirBase }: { readonly fhirBase: string },
): (resource: Resource) => string[] {
  const byType = new Map<string, readonly Visit<PatientScope>[]>();
  const collect: Visit<PatientScope> = (value, { patients }) => {
    const target = localReference(referenceText(value) ?? '', fhirBase);
    if (target === undefined || !target.startsWith(`${COMPARTMENT}/`)) return;
    const id = target.slice(COMPARTMENT.length + 1);
    if (!patients.includes(id)) patients.push(id);
  };
  const compiled = (type: string): readonly Visit<PatientScope>[] => {
    const known = byType.get(type);
    if (known !== undefined) return known;
    const visits = compartmentVisits(type, definitions, collect);
    if (definitions.resourceTypes.has(type)) byType.set(type, visits);
    return visits;
  };
  return (resource) => {
    const patients: string[] = [];
    if (resource.resourceType === COMPARTMENT && typeof resource.id === 'string') patients.push(resource.id);
    for (const visit of compiled(resource.resourceType)) visit(resource, { root: resource, patients });
    return patients;
  };
}

function compartmentVisits(
  type: string,
  definitions: Definitions,
  collect: Visit<PatientScope>,
): readonly Visit<PatientScope>[] {
  if (!definitions.resourceTypes.has(type)) return [];
  const parameters = definitions.searchParameters(type);
  return definitions.compartmentParameters(COMPARTMENT, type).flatMap((code) => {
    const parameter = parameters.get(code);
    if (parameter === undefined) return [];
    const compiled = compilePath<PatientScope>(
      parameter.expression,
      rootPlace(type, definitions),
      definitions,
      () => collect,
    );
    if (compiled.problem !== undefined) throw new TypeError(`${parameter.url}: ${compiled.problem}`);
    return compiled.visits;
  });
}
