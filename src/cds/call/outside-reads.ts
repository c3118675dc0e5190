/**
 * What one call asks of the caller's FHIR server, remembered for the audit: one event a read, with what came of it, never its token.
 * Source: docs/audit.md#hook-calls; IHE BALP, where this server is the client.
 */
import type { AccessEntry } from '../../audit.ts';
import type { Json } from '../../fhir/resource.ts';
import type { Template } from '../services/template.ts';

/**
 * One read of another FHIR server. Rejects when it was asked and nothing that counts came back; `body` is undefined for anything but 200.
 * Resolves to undefined when nothing was sent: the server is not allowed, or is left alone for a while.
 */
export type ReadOutside = (read: {
  /** FHIR base, without trailing slash. */
  readonly server: string;
  readonly token: string;
  /** `Patient/1`, `Observation?...`, or an absolute next link below the base. */
  readonly path: string;
  readonly timeoutMs: number;
}) => Promise<{ readonly status: number; readonly body: Json | undefined } | undefined>;

export class OutsideReads {
  readonly #readOutside: ReadOutside;
  readonly #asked = new Set<{ readonly entry: AccessEntry; status: number | undefined }>();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(readOutside: ReadOutside) {
    this.#readOutside = readOutside;
  }

  /**
   * Reads, and remembers it unless nothing was sent.
   * @param template the question that `read.path` asks, or goes on with
   * @param patient of the call
   */
  async read(read: Parameters<ReadOutside>[0], template: Template, patient: string): ReturnType<ReadOutside> {
    const one: { readonly entry: AccessEntry; status: number | undefined } = {
      entry: entryOf(read, template, patient),
      status: undefined,
    };
    const reading = this.#readOutside(read);
    this.#asked.add(one);
    this.#underWay.add(reading);
    try {
      const answer = await reading;
      if (answer === undefined) this.#asked.delete(one);
      else one.status = answer.status;
      return answer;
    } finally {
      this.#underWay.delete(reading);
    }
  }

  /** Resolves when nothing is under way, at once when nothing ever was. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  get isUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  /** What was asked so far; what is under way has not been answered. */
  entries(): readonly AccessEntry[] {
    return [...this.#asked].map(({ entry: { asked, ...entry }, status }) =>
      asked === undefined ? entry : { ...entry, asked: { ...asked, status } },
    );
  }
}

/** As the local read of the same question is recorded. A search is told as it was sent, without its token. */
function entryOf({ server, path }: Parameters<ReadOutside>[0], { type, id }: Template, patient: string): AccessEntry {
  const asked = { server, status: undefined };
  if (id !== undefined) return { interaction: 'read', resource: { type, id }, patients: [patient], asked };
  const url = path.startsWith(`${type}?`) ? `${server}/${path}` : path;
  return { interaction: 'search-type', query: `GET ${url}`, patients: [patient], asked };
}
