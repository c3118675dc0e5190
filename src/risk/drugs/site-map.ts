/** A site's own drug codes and names. Shape: `{ "codes": [{ "system", "code", "drugs": [name, ...] }], "names": { "local name": [name, ...] } }`. Decision 0024. */
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { SiteMap } from './knowledge.ts';

const texts = { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } };
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['codes', 'names'],
  properties: {
    codes: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['system', 'code', 'drugs'],
        properties: { system: { type: 'string' }, code: { type: 'string' }, drugs: texts },
      },
    },
    names: { type: 'object', additionalProperties: texts },
  },
};

/** The file of a site. @throws TypeError when it has another shape, SyntaxError when it is no JSON */
export function readSiteMap(path: string): SiteMap {
  const isSiteMap = new Ajv2020().compile<SiteMap>(SCHEMA);
  const found: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (isSiteMap(found)) return found;
  const [error] = isSiteMap.errors ?? [];
  throw new TypeError(`DRUG_SITE_MAP: ${error?.instancePath ?? ''} ${error?.message ?? 'is malformed'}`);
}
