/**
 * Opaque audit keys of patients, known without asking: reading a patient's data brings the patient's key along. A key that two processes mint
 * at the same time, or that is not known here yet, is one more key of the patient; searches go by all of them.
 */
import { randomBytes } from 'node:crypto';
import type { CommitRequest, StoredVersion } from '../port.ts';
import type { Collections } from './layout.ts';
import { READ_MS } from './versions.ts';

const MOST = 20_000;

export class Subjects {
  readonly #subject: Collections['subject'];
  /** By patient; the longest unused first. */
  readonly #keys = new Map<string, string>();
  /** Looked up and found to have none, in this order. */
  readonly #without = new Set<string>();

  constructor({ subject }: Pick<Collections, 'subject'>) {
    this.#subject = subject;
  }

  keys(patients: readonly string[]): readonly string[] {
    return patients.map((patient) => {
      const key = this.#keys.get(patient) ?? randomBytes(12).toString('hex');
      this.#keep(patient, key);
      return key;
    });
  }

  #keep(patient: string, key: string): void {
    this.#keys.delete(patient);
    this.#keys.set(patient, key);
    this.#without.delete(patient);
    if (this.#keys.size <= MOST) return;
    for (const oldest of this.#keys.keys()) {
      this.#keys.delete(oldest);
      return;
    }
  }

  /** Keys that are about to be written. */
  noted({ audit }: CommitRequest): void {
    for (const { subjects } of audit) {
      for (const { key, patient } of subjects) if (!this.#keys.has(patient)) this.#keep(patient, key);
    }
  }

  /** Learns the keys of the patients of these versions, which it gives back. */
  async learnt<T extends readonly StoredVersion[]>(versions: T): Promise<T> {
    const patients = new Set(versions.flatMap((version) => version.patients));
    const unknown = [...patients].filter((patient) => !this.#keys.has(patient) && !this.#without.has(patient));
    if (unknown.length === 0) return versions;
    const found = await this.#subject
      .find({ p: { $in: unknown } }, { maxTimeMS: READ_MS })
      .sort({ _id: 1 })
      .toArray();
    for (const { _id, p } of found) if (!this.#keys.has(p)) this.#keep(p, _id);
    if (this.#without.size > MOST) this.#without.clear();
    for (const patient of unknown) if (!this.#keys.has(patient)) this.#without.add(patient);
    return versions;
  }
}
