/** Passwords: Argon2id with the parameters of the OWASP Password Storage Cheat Sheet (m = 19 MiB, t = 2, p = 1), off the main thread. Source: RFC 9106. */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';

const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** NIST SP 800-63B-4 §3.1.1: at least 15 characters when it is the only factor, 8 beside another; long ones are allowed. */
export const PASSWORD_LENGTH = { least: 12, most: 256 } as const;

function derived(password: string, salt: Uint8Array, memory: number, passes: number): Promise<Buffer> {
  const message = Buffer.from(password.normalize('NFKC'), 'utf8');
  return new Promise((resolve, reject) => {
    argon2(
      'argon2id',
      { message, nonce: salt, parallelism: LANES, tagLength: HASH_BYTES, memory, passes },
      (error, hash) => {
        if (error === null) resolve(hash);
        else reject(error);
      },
    );
  });
}

/** `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`. */
export async function passwordHash(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derived(password, salt, MEMORY_KIB, PASSES);
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}

const FORM = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$([\w-]+)\$([\w-]+)$/;
/** Hash of nothing anybody knows: an unknown name takes as long as a known one. */
const NOBODY = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** @param kept undefined for a user who is not known: always false, after the same time */
export async function isPassword(password: string, kept: string | undefined): Promise<boolean> {
  const [, memory = '', passes = '', salt = '', hash = ''] = FORM.exec(kept ?? NOBODY) ?? [];
  const given = password.slice(0, PASSWORD_LENGTH.most);
  const found = await derived(given, Buffer.from(salt, 'base64url'), Number(memory), Number(passes));
  const wanted = Buffer.from(hash, 'base64url');
  return found.length === wanted.length && timingSafeEqual(found, wanted) && kept !== undefined;
}
