// A list of tasks that pass a filter, kept up to date with the store.

import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { FilteredTasks, type TaskFilter } from "../core/filter";
import { epoch, followChanges, store } from "../live";

/** `key` says which filter it is; the tick changes with the list. */
export function useFiltered(filter: TaskFilter, key: string): [FilteredTasks, number] {
  const list = useMemo(() => new FilteredTasks(filter, store.tasks), [key, epoch.value]);
  const [tick, setTick] = useState(0);
  useLayoutEffect(
    () => followChanges((changes) => {
      if (changes.tasks.size === 0) return;
      if (changes.replaced) list.rebuild(store.tasks);
      else list.follow(changes.tasks, store.tasks);
      setTick((it) => it + 1);
    }),
    [list],
  );
  return [list, tick];
}
