/** capability-statement.json as the server's input: what is claimed, per type and interaction. Source: capabilitystatement.html. */
import type { SearchParameter } from './definitions.ts';

/** The claims in the form the server asks for them. */
export interface Capability {
  /** The statement as JSON text of the file, before live fields (date, url, software version, implementation) are filled in. */
  readonly statement: string;
  readonly types: ReadonlyMap<string, ClaimedType>;
  /** System interactions: transaction, batch, search-system, history-system. */
  readonly system: ReadonlySet<string>;
}
export interface ClaimedType {
  readonly type: string;
  /** read, vread, update, patch, delete, history-instance, history-type, create, search-type. */
  readonly interactions: ReadonlySet<string>;
  readonly updateCreate: boolean;
  readonly conditionalCreate: boolean;
  readonly conditionalUpdate: boolean;
  /** 'not-supported' | 'single' | 'multiple'. */
  readonly conditionalDelete: string;
  readonly searchParameters: ReadonlyMap<string, SearchParameter>;
  /** `Observation:subject`, as in CapabilityStatement.rest.resource.searchInclude; ['*'] = every claimed reference parameter. */
  readonly includes: readonly string[];
  readonly revIncludes: readonly string[];
}
