// What a worker measured in the hour before the page was opened, page by page.

import type { MeasurementRow, Page } from "./wire";

const HOUR_MS = 3_600_000;
const PAGE = 10_000;
/** A worker that measures ten times a second fills so many in an hour. */
const PAGES_MAX = 4;

/** Oldest first. Ends early when `isWanted` says that nobody looks any more. */
export async function fetchLastHour(
  worker: string,
  nowMs: number,
  get: (path: string) => Promise<Page<MeasurementRow>>,
  isWanted: () => boolean,
): Promise<MeasurementRow[]> {
  const from = new Date(nowMs - HOUR_MS).toISOString();
  const path = `/v1/history/measurements?worker=${encodeURIComponent(worker)}&from=${from}&limit=${PAGE}`;
  const rows: MeasurementRow[] = [];
  let cursor = "";
  for (let n = 0; n < PAGES_MAX && isWanted(); n++) {
    const page = await get(path + cursor);
    rows.push(...page.items);
    if (page.next_cursor === undefined) break;
    cursor = `&cursor=${page.next_cursor}`;
  }
  return rows;
}
