/** Tests of the common contract by name, so that docs/store-contract.md can be held to them. */
import { type TestContext, test } from 'node:test';

/** Every row that was registered in this process, whichever engine. */
export const CONTRACT_ROWS = new Set<string>();

export function contractRow(engine: string, name: string, body: (context: TestContext) => Promise<void>): void {
  CONTRACT_ROWS.add(name);
  test(`${engine}: ${name}`, body);
}
