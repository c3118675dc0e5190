/**
 * The files of scores, and the table of triage, that decision records stand on, kept in the store under their hash: a file may change, and its old cards are still computed
 * again. Graphs are too large for that: their older versions stay on disk (docs/models.md). A file of a score says nothing of a patient.
 */
import type { Assessment, Models } from '../../risk/assessment.ts';
import type { EsiFile } from '../../risk/triage/triage.ts';
import type { Command, ResourceStore } from '../../store/port.ts';

const SPACE = 'cds.score';
/** Kept so much longer than a record needs, so that a file is written again once a day and not with each call. */
const SLACK_MS = 86_400_000;

export interface ScoreFiles {
  /** What must be committed with a record of these assessments that is kept until `expiresAt`; nothing when it is there for long enough. */
  commands(
    assessments: readonly Assessment[],
    expiresAt: number,
    triage?: { readonly sha256?: string },
  ): readonly Command[];
  /** Says that commands were committed, these among them. */
  committed(commands: readonly Command[]): void;
}

/** For one process: it remembers what it has written. */
export function scoreFiles(models: Pick<Models, 'scoreFile'>, table?: EsiFile): ScoreFiles {
  const written = new Map<string, number>();
  return {
    commands(assessments, expiresAt, triage) {
      const isDue = (sha256: string) => (written.get(sha256) ?? 0) < expiresAt;
      const files = new Map(
        assessments.flatMap(({ model }) => {
          const text = isDue(model.sha256) ? models.scoreFile(model) : undefined;
          return text === undefined ? [] : [[model.sha256, text] as const];
        }),
      );
      if (table !== undefined && triage?.sha256 === table.sha256 && isDue(table.sha256))
        files.set(table.sha256, table.text);
      return [...files].map(([key, value]) => ({
        op: 'set' as const,
        space: SPACE,
        key,
        value,
        expiresAt: expiresAt + SLACK_MS,
      }));
    },
    committed(commands) {
      for (const command of commands) {
        if (command.op === 'set' && command.space === SPACE) written.set(command.key, command.expiresAt ?? 0);
      }
    },
  };
}

/** The text of a file by its hash; undefined when none is kept. */
export async function scoreFileOf(store: Pick<ResourceStore, 'keyed'>, sha256: string): Promise<string | undefined> {
  return (await store.keyed(SPACE, sha256))?.value;
}
