// Which tasks a list shows; kept in the address, so that a link keeps it.

import { SortedIds, idNumber } from "./sorted";
import { TASK_STATES, type Task, type TaskState } from "./wire";

export interface TaskFilter {
  states: readonly TaskState[];
  queue: string;
  worker: string;
  job: string;
  text: string;
}

export const NO_FILTER: TaskFilter = { states: [], queue: "", worker: "", job: "", text: "" };

export function readFilter(query: URLSearchParams): TaskFilter {
  const states = (query.get("state") ?? "").toUpperCase().split(",");
  return {
    states: TASK_STATES.filter((state) => states.includes(state)),
    queue: query.get("queue") ?? "",
    worker: query.get("worker") ?? "",
    job: query.get("job") ?? "",
    text: query.get("text") ?? "",
  };
}

export function writeFilter(filter: TaskFilter): URLSearchParams {
  const query = new URLSearchParams();
  if (filter.states.length > 0) query.set("state", filter.states.join(","));
  for (const key of ["queue", "worker", "job", "text"] as const) {
    if (filter[key] !== "") query.set(key, filter[key]);
  }
  return query;
}

export function isFiltered(filter: TaskFilter): boolean {
  return writeFilter(filter).size > 0;
}

export function matcher(filter: TaskFilter): (task: Task) => boolean {
  const states = filter.states.length > 0 ? new Set(filter.states) : undefined;
  const text = filter.text.trim().toLowerCase();
  const job = withPrefix(filter.job.trim(), "j");
  const isThere = (task: Task) =>
    task.worker === filter.worker || task.attempts?.at(-1)?.worker === filter.worker;
  return (task) =>
    (states === undefined || states.has(task.state)) &&
    (filter.queue === "" || task.queue === filter.queue) &&
    (job === "" || task.job === job) &&
    (filter.worker === "" || isThere(task)) &&
    (text === "" || task.id === text || task.name.toLowerCase().includes(text));
}

/** `12` and `j12` are the same job. */
export function withPrefix(id: string, prefix: string): string {
  return /^\d+$/.test(id) ? prefix + id : id;
}

/** The rows that pass, followed change by change. */
export class FilteredTasks {
  readonly ids = new SortedIds();
  private passes: (task: Task) => boolean;

  constructor(filter: TaskFilter, tasks: ReadonlyMap<string, Task>) {
    this.passes = matcher(filter);
    this.rebuild(tasks);
  }

  rebuild(tasks: ReadonlyMap<string, Task>): void {
    const ids: number[] = [];
    for (const task of tasks.values()) if (this.passes(task)) ids.push(idNumber(task.id));
    this.ids.replace(ids);
  }

  follow(changed: Iterable<string>, tasks: ReadonlyMap<string, Task>): void {
    const added: number[] = [];
    const removed: number[] = [];
    for (const id of changed) {
      const task = tasks.get(id);
      const n = idNumber(id);
      const shall = task !== undefined && this.passes(task);
      if (shall !== this.ids.has(n)) (shall ? added : removed).push(n);
    }
    this.ids.change(added, removed);
  }
}
