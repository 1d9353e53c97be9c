// The tasks of one job with all their attempts: asked for once, then followed by events, whose rows bring
// only the last attempt.

import type { Attempt, Task } from "./wire";

export class JobTasks {
  readonly tasks = new Map<string, Task>();

  constructor(readonly job: string) {}

  /** Rows as asked for; what events told meanwhile is newer. */
  addAsked(rows: readonly Task[]): void {
    for (const row of rows) {
      const known = this.tasks.get(row.id);
      const attempts = merged(row.attempts ?? [], known?.attempts ?? []);
      this.tasks.set(row.id, { ...(known ?? row), attempts });
    }
  }

  /** Whether anything of this job changed. */
  follow(changed: Iterable<string>, all: ReadonlyMap<string, Task>): boolean {
    let isChanged = false;
    for (const id of changed) {
      const row = all.get(id);
      if (row === undefined) isChanged = this.tasks.delete(id) || isChanged;
      else if (row.job === this.job) {
        const attempts = merged(this.tasks.get(id)?.attempts ?? [], row.attempts ?? []);
        this.tasks.set(id, { ...row, attempts });
        isChanged = true;
      }
    }
    return isChanged;
  }
}

function merged(older: readonly Attempt[], newer: readonly Attempt[]): Attempt[] {
  const byNumber = new Map(older.map((attempt) => [attempt.number, attempt]));
  newer.forEach((attempt) => byNumber.set(attempt.number, attempt));
  return [...byNumber.values()].sort((a, b) => a.number - b.number);
}
