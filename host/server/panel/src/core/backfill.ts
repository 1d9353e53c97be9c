// Asks for the tasks and jobs that a snapshot left out, newest first, while the page is already in use.

import { idNumber } from "./sorted";
import { JOBS_MAX, type Changes, type Store } from "./store";
import type { Job, Page, Task } from "./wire";

const PAGE = 1000;

export interface Lists {
  tasks(after: number, limit: number): Promise<Page<Task>>;
  jobs(after: number, limit: number): Promise<Page<Job>>;
}

interface Listing<Row> {
  page(after: number, limit: number): Promise<Page<Row>>;
  add(rows: readonly Row[]): Changes;
  isFull(): boolean;
}

/**
 * Lists are in ascending order, and the newest are wanted first: so they are asked for range by range.
 * Ends early when `isCurrent` says that the snapshot is another one.
 */
export async function fetchOlder(
  store: Store,
  lists: Lists,
  isCurrent: () => boolean,
  onChanges: (changes: Changes) => void,
): Promise<void> {
  const jobs: Listing<Job> = {
    page: (after, limit) => lists.jobs(after, limit),
    add: (rows) => store.addOlderJobs(rows),
    isFull: () => store.jobs.size >= JOBS_MAX,
  };
  const tasks: Listing<Task> = {
    page: (after, limit) => lists.tasks(after, limit),
    add: (rows) => store.addOlder(rows),
    isFull: () => store.isCapped,
  };
  const from = store.snapshotFrom;
  const isDone = (await fetchDown(jobs, from.jobs, isCurrent, onChanges)) &&
    (await fetchDown(tasks, from.tasks, isCurrent, onChanges));
  if (isDone) store.finishOlder();
}

async function fetchDown<Row extends { id: string }>(
  listing: Listing<Row>,
  top: number,
  isCurrent: () => boolean,
  onChanges: (changes: Changes) => void,
): Promise<boolean> {
  let step = PAGE;
  while (top > 1 && Number.isFinite(top) && !listing.isFull()) {
    const bottom = Math.max(0, top - 1 - step);
    const found = await fetchRange(listing, bottom, top, isCurrent, onChanges);
    if (found === undefined) return false;
    // Where retention left gaps, wider ranges save requests.
    step = found < PAGE / 2 ? step * 4 : PAGE;
    top = bottom + 1;
  }
  return true;
}

/** Rows with `bottom < id < top`; how many there were, or nothing if that is no longer wanted. */
async function fetchRange<Row extends { id: string }>(
  listing: Listing<Row>,
  bottom: number,
  top: number,
  isCurrent: () => boolean,
  onChanges: (changes: Changes) => void,
): Promise<number | undefined> {
  let after = bottom;
  let nFound = 0;
  for (;;) {
    const page = await listing.page(after, Math.min(PAGE, top - 1 - after));
    if (!isCurrent()) return undefined;
    const rows = page.items.filter((row) => idNumber(row.id) < top);
    onChanges(listing.add(rows));
    nFound += rows.length;
    const isOver = page.next_cursor === undefined || rows.length < page.items.length;
    after = page.next_cursor === undefined ? top : idNumber(page.next_cursor);
    if (isOver || after >= top - 1) return nFound;
  }
}
