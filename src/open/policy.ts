/** What limits callers beside scopes, as configured: roles, restricting labels. */
import type { Config } from '../config.ts';
import { FOLDERS } from '../folders.ts';
import type { RestContext } from '../rest/context.ts';
import { assertRoles } from '../smart/access.ts';
import { loadPolicy } from '../smart/roles.ts';
import { consentDefault } from './consent-default.ts';

/** @throws TypeError naming every role that cannot be kept, or why the site's default of Consents cannot */
export function withPolicy({ ROLES_DIR, CONSENT_DEFAULT }: Config, base: RestContext): RestContext {
  const site = CONSENT_DEFAULT === undefined ? {} : { consentDefault: consentDefault(CONSENT_DEFAULT, base) };
  const context = { ...base, policy: { ...loadPolicy(FOLDERS, ROLES_DIR), ...site } };
  assertRoles(context.policy, context);
  return context;
}
