/** Time and randomness, the only place they come from. Ids: UUIDv7 (RFC 9562 §5.7), rising within a process, so that index pages stay warm. */
import { randomBytes, randomFillSync } from 'node:crypto';
import type { Ambient } from './rest/context.ts';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const NIBBLE = '0123456789abcdef';
const POOL_BYTES = 4096;

/** The real clock and ids. */
export function systemAmbient(): Ambient {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  let last = 0;
  let counter = 0;

  const random = (): number => {
    if (used === POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    return pool[used++] ?? 0;
  };
  const hex = (byte: number): string => HEX[byte & 0xff] ?? '00';

  return {
    now: () => Date.now(),
    newId: () => {
      const now = Date.now();
      if (now > last) {
        last = now;
        counter = random() & 0x7f; // leaves room below the 12 bits for ids of the same millisecond
      } else if (++counter > 0xfff) {
        last++;
        counter = 0;
      }
      const high = Math.floor(last / 0x1_0000_0000);
      const low = last % 0x1_0000_0000;
      const time = `${hex(high >>> 8)}${hex(high)}${hex(low >>> 24)}${hex(low >>> 16)}-${hex(low >>> 8)}${hex(low)}`;
      const count = `${NIBBLE[counter >>> 8] ?? '0'}${hex(counter)}`;
      const start = `${time}-7${count}-${hex(0x80 | (random() & 0x3f))}${hex(random())}-${hex(random())}`;
      return `${start}${hex(random())}${hex(random())}${hex(random())}${hex(random())}${hex(random())}`;
    },
  };
}

/** Unguessable texts of 16 bytes. Random bytes are drawn for many at once: a draw costs 5 us however short it is. */
export function saltSource(): () => string {
  let pool = randomBytes(0);
  let used = 0;
  return () => {
    if (used === pool.length) {
      pool = randomBytes(4096);
      used = 0;
    }
    used += 16;
    return pool.toString('base64url', used - 16, used);
  };
}
