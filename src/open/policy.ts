/** What limits callers beside scopes, as configured: roles, restricting labels. */
import type { Config } from '../config.ts';
import { FOLDERS } from '../folders.ts';
import type { RestContext } from '../rest/context.ts';
import { assertRoles } from '../smart/access.ts';
import { loadPolicy } from '../smart/roles.ts';

/** @throws TypeError naming every role that cannot be kept */
export function withPolicy({ ROLES_DIR }: Config, base: RestContext): RestContext {
  const context = { ...base, policy: loadPolicy(FOLDERS, ROLES_DIR) };
  assertRoles(context.policy, context);
  return context;
}
