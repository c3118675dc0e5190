/** `firewatch verify-audit`: the audit log walked from its first row, and compared with heads that were kept elsewhere. docs/audit.md#anchors. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { isJsonObject, parseJson } from '../fhir/resource.ts';
import type { AuditHead } from '../store/engine.ts';
import { quietSystem } from '../system.ts';
import { heldConfig } from './held-config.ts';

const HASH = /^[0-9a-f]{64}$/;

/** Lines of JSON that name chain, sequence and hash; others of the log are passed over. @throws Error when there is none, or a line is cut */
export function anchorsIn(text: string): readonly AuditHead[] {
  const heads = text.split('\n').flatMap((line) => {
    if (!line.includes('"hash"')) return [];
    const json = parseJson(line);
    const { chain, sequence, hash } = isJsonObject(json) ? json : {};
    return Number.isInteger(Number(chain)) && Number.isInteger(Number(sequence)) && HASH.test(String(hash))
      ? [{ chain: Number(chain), sequence: Number(sequence), hash: String(hash) }]
      : [];
  });
  if (heads.length === 0) throw new Error('The file of --anchors has no line with chain, sequence and hash.');
  return heads;
}

export function verifyAuditCommand(program: Command): void {
  program
    .command('verify-audit')
    .description(
      'walk every hash chain of the audit log; exit code 1 names the first broken row. For a server that is stopped',
    )
    .option(
      '--anchors <file>',
      'heads told before: lines of the server log (event audit-head), or what --heads printed',
    )
    .option('--heads', 'print the head of each chain besides, to be kept where the database is not')
    .action(async ({ anchors, heads = false }: { anchors?: string; heads?: boolean }) => {
      const told = anchors === undefined ? [] : anchorsIn(readFileSync(anchors, 'utf8'));
      const { store, close } = await quietSystem(heldConfig());
      try {
        const verdict = await store.verifyAudit(told);
        console.log(JSON.stringify({ ...verdict, ...(anchors === undefined ? {} : { anchors: told.length }) }));
        if (heads) for (const head of await store.auditHeads()) console.log(JSON.stringify(head));
        process.exitCode = verdict.broken === undefined ? 0 : 1;
      } finally {
        await close();
      }
    });
}
