/** New ids and distances of dates, the same for the same thing under one key, and nothing without it. Source: RFC 2104; 45 CFR 164.514(c). */
import { createHmac } from 'node:crypto';

export interface Pseudonyms {
  /** 128 bits in 32 hexadecimal digits: a FHIR id. */
  id(type: string, id: string): string;
  /** Whole days, 1 to 365, by which the dates of a patient are moved into the past. */
  days(patient: string): number;
}

const ID_DIGITS = 32;
const YEAR_DAYS = 365;

/** @param key at least 32 bytes; whoever holds it can link ids again, for those who do not they are random */
export function pseudonyms(key: Uint8Array): Pseudonyms {
  const digest = (use: string, text: string) => createHmac('sha256', key).update(`${use}\n${text}`).digest();
  return {
    id: (type, id) => digest('id', `${type}/${id}`).toString('hex').slice(0, ID_DIGITS),
    days: (patient) => 1 + (digest('days', patient).readUInt32BE(0) % YEAR_DAYS),
  };
}
