/** A node:test reporter: failures in full at the end, then one closing line `N passed, N failed, N skipped`. */
import { relative } from 'node:path';

export { report as default };

/** @param {AsyncIterable<{ type: string, data: any }>} source */
async function* report(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const failures = [];
  const skips = [];
  for await (const { type, data } of source) {
    const leaf = data?.details?.type !== 'suite';
    if (type === 'test:pass' && leaf) {
      if (data.skip !== undefined || data.todo !== undefined) {
        counts.skipped++;
        skips.push(`skipped: ${data.name}${typeof data.skip === 'string' && data.skip !== '' ? `: ${data.skip}` : ''}`);
      } else counts.passed++;
    }
    if (type === 'test:fail' && leaf) {
      counts.failed++;
      failures.push(data);
    }
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
  }
  yield '\n';
  for (const line of skips) yield `${line}\n`;
  for (const { name, file, line, details } of failures) {
    const error = details?.error?.cause ?? details?.error;
    yield `\nFAILED ${name}\n  at ${file ? relative(process.cwd(), file) : '?'}:${line ?? '?'}\n  ${String(error?.stack ?? error?.message ?? error).replaceAll('\n', '\n  ')}\n`;
  }
  yield `\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`;
}
