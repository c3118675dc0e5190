/** Shapes of profiles/definitions/*.json as scripts/definitions.ts writes them and load.ts reads them. Defaults are left out. */
import type { SearchParameterType } from './definitions.ts';

/** Element of a snapshot. `types`: `Quantity`, `Quantity<SimpleQuantity>`, `Reference(Patient|Group)`, `canonical(ValueSet)`. */
export interface ElementFile {
  /** Below the type: `component.code`; '' is the type itself. */
  readonly path: string;
  /** Default 0. */
  readonly min?: number;
  /** Default 1; -1 is `*`. */
  readonly max?: number;
  readonly types?: readonly string[];
  /** Value set of a required binding, without version. */
  readonly required?: string;
  /** Path of the element whose content this one has: `Observation.referenceRange`. */
  readonly content?: string;
  readonly summary?: true;
  /** Keys of the constraints declared here; ele-1 is left out, since every element has it. */
  readonly constraints?: readonly string[];
}
export interface StructuresFile {
  readonly types: readonly {
    readonly url: string;
    readonly type: string;
    readonly kind: 'primitive-type' | 'complex-type' | 'resource';
    readonly abstract?: true;
    readonly elements: readonly ElementFile[];
  }[];
  readonly constraints: Readonly<
    Record<string, { readonly severity: 'error' | 'warning'; readonly expression: string }>
  >;
}
export interface SearchParameterFile {
  readonly url: string;
  readonly code: string;
  readonly type: SearchParameterType;
  readonly base: readonly string[];
  /** As published, alternatives of all base types joined by `|`. */
  readonly expression: string;
  readonly target?: readonly string[];
  readonly component?: readonly { readonly definition: string; readonly expression: string }[];
}
/** Parameter of an operation. Defaults as in ElementFile. */
export interface OperationParameterFile {
  readonly name: string;
  readonly use: 'in' | 'out';
  readonly min?: number;
  readonly max?: number;
  /** Left out where there are parts. */
  readonly type?: string;
  readonly parts?: readonly OperationParameterFile[];
}
export interface OperationFile {
  readonly url: string;
  readonly code: string;
  readonly system: boolean;
  readonly type: boolean;
  readonly instance: boolean;
  readonly resource: readonly string[];
  readonly affectsState: boolean;
  readonly parameters: readonly OperationParameterFile[];
}
/** compartment -> type -> search parameter codes. */
export type CompartmentsFile = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
/** Value set -> system -> codes; null = it can't be enumerated, with the reason in README.md. */
export type ValueSetsFile = Readonly<Record<string, Readonly<Record<string, readonly string[]>> | null>>;
export interface LockFile {
  readonly packages: readonly { readonly name: string; readonly version: string; readonly licence: string }[];
  /** File name -> SHA-256 in hex. */
  readonly files: Readonly<Record<string, string>>;
}
