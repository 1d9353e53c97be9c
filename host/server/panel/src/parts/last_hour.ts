// Charts of a worker begin an hour ago, not when the page was opened.

import { useEffect } from "preact/hooks";
import { get } from "../api";
import { fetchLastHour } from "../core/last_hour";
import type { MeasurementRow, Page } from "../core/wire";
import { announce, epoch, hostNow, store } from "../live";

/** Those that were asked for. What comes later comes by events. */
const asked = new Set<string>();

export function useLastHour(id: string, name: string): void {
  const current = epoch.value;
  useEffect(() => {
    // Another term of the host begins with empty charts.
    const key = `${store.term} ${id}`;
    if (current === 0 || asked.has(key)) return;
    asked.add(key);
    let isWanted = true;
    let isDone = false;
    const ask = (path: string) => get<Page<MeasurementRow>>(path);
    fetchLastHour(name, hostNow(), ask, () => isWanted)
      .then((rows) => {
        if (!isWanted) return;
        isDone = true;
        announce(store.addMeasured(id, rows));
      })
      // A host without a history, or one that does not answer: the charts begin with the next measurement.
      .catch(() => undefined);
    return () => {
      isWanted = false;
      if (!isDone) asked.delete(key);
    };
  }, [id, name, current]);
}
