#!/usr/bin/env node
/** Command line. Decides nothing: reads the configuration, builds the system, shows progress, listens, drains on SIGTERM. */
import { Command } from 'commander';
import { authorizationCommands } from './commands/authorization.ts';
import { backupCommand } from './commands/backup.ts';
import { dataKeyCommand } from './commands/data-key.ts';
import { explainCommand } from './commands/explain.ts';
import { feedbackReport, type ReportOptions } from './commands/feedback-report.ts';
import { heldConfig } from './commands/held-config.ts';
import { migrateCommand } from './commands/migrate.ts';
import { modelCommands } from './commands/model.ts';
import { privacyCommands } from './commands/privacy.ts';
import { progressBar } from './commands/progress.ts';
import { restoreCommand } from './commands/restore.ts';
import { judgeDays } from './commands/surveillance.ts';
import { upgradeCommand } from './commands/upgrade.ts';
import { verifyAuditCommand } from './commands/verify-audit.ts';
import { readConfig } from './config.ts';
import { seed } from './open/seed.ts';
import { serve } from './serve.ts';
import { buildSystem, VERSION } from './system.ts';

const program = new Command('firewatch')
  .description(
    'A FHIR R4 server with CDS Hooks; every access is an AuditEvent. Settings come from the environment: see docs/configuration.md.',
  )
  .version(VERSION)
  .showHelpAfterError();

program
  .command('serve')
  .description(
    'start the server, as no command at all does; at first start loads the synthetic patients (SEED=none: starts empty)',
  )
  .action(() => serve(readConfig()));

program
  .command('seed')
  .description('load the synthetic patients of seed-data into the store, while no server runs on it')
  .action(async () => {
    const system = await buildSystem(readConfig());
    await seed(system, progressBar('seed data'));
    await system.close();
  });

program
  .command('feedback-report')
  .description('what became of cards: counts (json), or one row each (csv, ndjson), while no server runs on the store')
  .option('--from <date>', 'cards shown from this date or instant on; default: 30 days before the end')
  .option('--to <date>', 'until this date or instant; default: now')
  .option('--format <format>', 'json, csv or ndjson', 'json')
  .action(async (options: ReportOptions) => {
    const system = await buildSystem({ ...heldConfig(), LOG_LEVEL: 'error' });
    await feedbackReport(system, options, (text) => process.stdout.write(text)).finally(() => system.close());
  });

program
  .command('surveillance')
  .description('count cases by day and unit and look for unusual ones, while no server runs on the store')
  .requiredOption('--from <day>', 'first day of the site, YYYY-MM-DD')
  .requiredOption('--to <day>', 'last day')
  .action(async ({ from, to }: { from: string; to: string }) => {
    const system = await buildSystem({ ...heldConfig(), SURVEILLANCE: 'off' });
    try {
      console.log(JSON.stringify(await judgeDays(system, from, to, progressBar('surveillance'))));
    } finally {
      await system.close();
    }
  });

verifyAuditCommand(program);
explainCommand(program);
modelCommands(program);
privacyCommands(program);
migrateCommand(program);
backupCommand(program);
restoreCommand(program);
authorizationCommands(program);
upgradeCommand(program);
dataKeyCommand(program);

try {
  // Not commander's default command: that takes a mistyped name for an argument of `serve`, and names no nearest one.
  const words = process.argv.slice(2);
  await program.parseAsync(words.length === 0 ? ['serve'] : words, { from: 'user' });
} catch (error) {
  console.error(`firewatch: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
