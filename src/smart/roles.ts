/** Roles and restricting labels from their files, checked by schema. Source: docs/authorization.md, decision 0037. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import type { AccessPolicy, Clearance, RestrictingLabels, Role } from './policy.ts';
import { verbsOf } from './scopes.ts';

/** One file of roles/; every field is described in roles/schema.json. */
interface RoleFile {
  readonly name: string;
  readonly title: string;
  readonly permits: readonly {
    readonly types: readonly string[];
    readonly interactions: string;
    readonly criteria?: string;
  }[];
  readonly clearance: Clearance;
  readonly boundByConsent?: boolean;
  readonly relabels?: boolean;
  readonly breakGlass?: string;
  readonly deidentifies?: boolean;
  readonly othersSubscriptions?: boolean;
}

export interface PolicyFolders {
  /** roles/, with its schema.json. */
  readonly roles: string;
  /** security-labels/, with labels.json and schema.json. */
  readonly labels: string;
}

/**
 * The roles that come with the server and those of the site: a site's file of the same name takes the place of the server's.
 * @param site ROLES_DIR
 * @throws TypeError naming every file that cannot be used
 */
export function loadPolicy({ roles, labels }: PolicyFolders, site?: string): AccessPolicy {
  const isRole = new Ajv({ allErrors: true }).compile<RoleFile>(read(join(roles, 'schema.json')));
  const isLabels = new Ajv({ allErrors: true }).compile<RestrictingLabels>(read(join(labels, 'schema.json')));
  const problems: string[] = [];
  const found = new Map<string, Role>();
  for (const folder of site === undefined ? [roles] : [roles, site]) {
    for (const file of jsonFilesOf(folder)) {
      const role = read(join(folder, file));
      if (!isRole(role)) problems.push(...errorsOf(file, isRole));
      else if (`${role.name}.json` !== file) problems.push(`${file}: /name must be that of the file.`);
      else found.set(role.name, roleOf(role));
    }
  }
  const restricting = read(join(labels, 'labels.json'));
  if (!isLabels(restricting)) throw new TypeError(`Security labels: ${errorsOf('labels.json', isLabels).join(' ')}`);
  if (problems.length > 0) throw new TypeError(`Roles: ${problems.join(' ')}`);
  return { roles: found, labels: restricting };
}

function roleOf({
  permits,
  boundByConsent = true,
  relabels = false,
  deidentifies = false,
  othersSubscriptions = false,
  breakGlass = '',
  ...file
}: RoleFile): Role {
  return {
    ...file,
    permits: permits.map(({ types, interactions, criteria = '' }) => ({
      types,
      verbs: verbsOf(interactions),
      query: criteria,
    })),
    boundByConsent,
    relabels,
    breakGlass: verbsOf(breakGlass),
    deidentifies,
    othersSubscriptions,
  };
}

const errorsOf = (file: string, { errors }: ValidateFunction): readonly string[] =>
  (errors ?? []).map(({ instancePath, message }) => `${file}: ${instancePath || 'file'} ${message ?? 'is invalid'}.`);

/** @throws TypeError when there is no such folder */
function jsonFilesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json') && name !== 'schema.json')
      .toSorted();
  } catch (error) {
    throw new TypeError('ROLES_DIR: there is no such folder.', { cause: error });
  }
}

/** JSON of a file; null for what cannot be read, which no schema takes. */
function read(path: string) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}
