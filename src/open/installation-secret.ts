/** Secrets of this installation, made at first start and kept in its folder. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** 32 bytes. Next links, decision records and sealed secrets stay good over restarts, and only here. */
export function secretOf(
  { DATA_DIR }: { readonly DATA_DIR: string },
  name: 'cursor.key' | 'record.key' | 'oauth.key' | 'audit.key',
): Uint8Array {
  const file = join(DATA_DIR, name);
  if (!existsSync(file)) writeFileSync(file, randomBytes(32), { mode: 0o600 });
  return readFileSync(file);
}
