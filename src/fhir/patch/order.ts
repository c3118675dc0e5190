/** Operations of a patch, one after the other. Source: RFC 6902 §5, fhirpatch.html ("applied in order"). */
import { FhirError } from '../outcome.ts';

/**
 * Runs `apply` for each operation; the first refusal ends it and names the operation, counted from 0.
 * @param where FHIRPath of an operation inside the patch document; undefined when it is no resource
 */
export function inOrder<T>(
  operations: readonly T[],
  where: ((index: number) => string) | undefined,
  apply: (operation: T) => void,
): void {
  operations.forEach((operation, index) => {
    try {
      apply(operation);
    } catch (error) {
      if (!(error instanceof FhirError)) throw error;
      const message = `Operation ${index}: ${error.message}`;
      throw new FhirError([{ kind: error.kind, message, expression: where?.(index) }], { cause: error });
    }
  });
}
