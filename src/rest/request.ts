/** method + path + query + headers + body -> FhirRequest. Source: http.html#summary. No HTTP framework here; Bundle entries use the same parser. */
import type { Patch } from '../fhir/patch/patch.ts';
import type { Resource, ResourceKey } from '../fhir/resource.ts';

/** What any transport hands over. Header names in lower case. */
export interface WireRequest {
  readonly method: string;
  /** Path below the FHIR base, still percent-encoded, with leading slash: `/Patient/1/_history`. */
  readonly path: string;
  /** Raw query without `?`; '' when absent. */
  readonly query: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Raw text; undefined when there was no body. */
  readonly body: string | undefined;
  /** A body too large for memory, which the transport has put on disk; then `body` is undefined. */
  readonly upload?: { readonly id: string; readonly bytes: number } | undefined;
}

/** Where a page starts, how long it is and what else shapes an answer; http.html#parameters. */
export interface Representation {
  /** Of the whole answer; what is inside a Bundle has its format. */
  readonly format: 'json' | 'xml';
  readonly pretty: boolean;
  /** `_summary`; undefined = not asked. */
  readonly summary: 'true' | 'false' | 'text' | 'data' | 'count' | undefined;
  readonly elements: readonly string[];
  readonly prefer: {
    readonly return: 'minimal' | 'representation' | 'OperationOutcome' | undefined;
    readonly handling: 'strict' | 'lenient';
  };
}

interface Common {
  readonly representation: Representation;
  /** Original query string, for the self link and the audit's raw request. */
  readonly rawQuery: string;
  readonly wire: WireRequest;
}
/** `*`: any version that is there; one, or several of which any will do; undefined: the header was not sent. */
export type NamedVersions = number | '*' | readonly number[] | undefined;

export interface Preconditions {
  readonly ifMatch: NamedVersions;
  readonly ifNoneMatch: NamedVersions;
  readonly ifModifiedSince: number | undefined;
}

export type FhirRequest = Common &
  (
    | ({ readonly interaction: 'read'; readonly key: ResourceKey } & Preconditions)
    | { readonly interaction: 'vread'; readonly key: ResourceKey; readonly version: number }
    | { readonly interaction: 'history-instance'; readonly key: ResourceKey }
    | { readonly interaction: 'history-type'; readonly type: string }
    | { readonly interaction: 'history-system' }
    | {
        readonly interaction: 'search-type';
        readonly type: string;
        readonly query: string;
        /** Only what lies in this resource's compartment. */
        readonly compartment?: ResourceKey;
      }
    | { readonly interaction: 'search-system'; readonly query: string; readonly compartment?: ResourceKey }
    | {
        readonly interaction: 'create';
        readonly type: string;
        readonly resource: Resource;
        readonly ifNoneExist: string | undefined;
      }
    | ({ readonly interaction: 'update'; readonly key: ResourceKey; readonly resource: Resource } & Preconditions)
    | ({
        readonly interaction: 'conditional-update';
        readonly type: string;
        readonly criteria: string;
        readonly resource: Resource;
      } & Preconditions)
    | ({ readonly interaction: 'delete'; readonly key: ResourceKey } & Preconditions)
    | { readonly interaction: 'conditional-delete'; readonly type: string; readonly criteria: string }
    | ({ readonly interaction: 'patch'; readonly key: ResourceKey; readonly patch: Patch } & Preconditions)
    | ({
        readonly interaction: 'conditional-patch';
        readonly type: string;
        readonly criteria: string;
        readonly patch: Patch;
      } & Preconditions)
    | { readonly interaction: 'capabilities' }
    | { readonly interaction: 'batch'; readonly bundle: Resource }
    | { readonly interaction: 'transaction'; readonly bundle: Resource }
    | {
        readonly interaction: 'operation';
        readonly code: string;
        readonly type: string | undefined;
        readonly id: string | undefined;
        readonly resource: Resource | undefined;
        readonly query: string;
      }
  );

export type Interaction = FhirRequest['interaction'];

/** Complete answer; `body` is JSON text (stored text goes out as stored) until the door renders it in the format asked for. Header names as written on the wire. */
export interface FhirResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}
