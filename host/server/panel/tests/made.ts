// Rows and messages with what matters to a test.

import { NO_COUNTS } from "../src/core/store";
import type { Attempt, Job, PublicEvent, Snapshot, Task, TaskState, Worker } from "../src/core/wire";

export function task(n: number, state: TaskState = "PENDING", more: Partial<Task> = {}): Task {
  return {
    id: `t${n}`, job: "j1", name: `task-${n}`, state, queue: "default", tenant: "default", priority: 0,
    amounts: { cpu: 1, memory: 1e8, gpu: 0 }, n_dependencies: 0, submitted: "2026-01-01T00:00:00.000Z",
    retries_used: 0, losses_used: 0, on_disconnect: "keep", ...more,
  };
}

export function job(n: number, nTasks: number): Job {
  return {
    id: `j${n}`, name: `job-${n}`, state: "RUNNING", submitted: "2026-01-01T00:00:00.000Z", n_tasks: nTasks,
    counts: { ...NO_COUNTS },
  };
}

export function worker(n: number, more: Partial<Worker> = {}): Worker {
  return {
    id: `w${n}`, name: `worker-${n}`, state: "live", incarnation: 1, capacity: { cpu: 4, memory: 8e9, gpu: 0 },
    measurements: {}, running: 0, ...more,
  };
}

export function attempt(number: number, more: Partial<Attempt> = {}): Attempt {
  const stamp = { generation: 1, digest: "native" };
  return {
    number, term: 1, worker: "w1", assigned: "2026-01-01T00:00:00.000Z",
    decision: { scoring: stamp, queue: stamp, score: 0.5 }, ...more,
  };
}

export function snapshot(n: number, more: Partial<Snapshot> = {}): Snapshot {
  const tasks = more.tasks ?? [];
  const counts = { ...NO_COUNTS };
  for (const it of tasks) counts[it.state.toLowerCase() as keyof typeof counts] += 1;
  return {
    kind: "snapshot", n, at: "2026-01-01T00:00:00.000Z", term: 1, counts, jobs: [], tasks: [], truncated: false,
    workers: [], queues: [], policies: { slots: [], available: [], refused: [] }, ...more,
  };
}

type Body = PublicEvent extends infer E ? (E extends PublicEvent ? Omit<E, "n" | "at"> : never) : never;

export function event(n: number, body: Body): PublicEvent {
  return { n, at: "2026-01-01T00:00:01.000Z", ...body } as PublicEvent;
}

export function changed(n: number, it: Task): PublicEvent {
  return event(n, { kind: "task", task: it });
}
