// When which attempt of a job was where: rows and bars in milliseconds, without pixels.

import type { Attempt, Task } from "./wire";

export interface Bar {
  task: Task;
  attempt: Attempt;
  assigned: number;
  /** When its process started; absent: not yet, or never. */
  started?: number;
  /** Absent: it is current. */
  ended?: number;
  /** `running`, or how it ended. */
  kind: string;
}

export interface Lane { id: string; label: string; isWorker: boolean; bars: Bar[] }
export interface Span { from: number; to: number }

export function bars(tasks: Iterable<Task>): Bar[] {
  const all: Bar[] = [];
  for (const task of tasks) {
    for (const attempt of task.attempts ?? []) {
      all.push({
        task,
        attempt,
        assigned: Date.parse(attempt.assigned),
        started: attempt.started === undefined ? undefined : Date.parse(attempt.started),
        ended: attempt.ended === undefined ? undefined : Date.parse(attempt.ended),
        kind: attempt.ended === undefined ? "running" : attempt.outcome?.kind ?? "ended",
      });
    }
  }
  return all.sort((a, b) => a.assigned - b.assigned || a.attempt.number - b.attempt.number);
}

/** One lane per task that was ever placed, in the order of the first placements. */
export function lanesByTask(all: readonly Bar[]): Lane[] {
  const lanes = new Map<string, Lane>();
  for (const bar of all) {
    let lane = lanes.get(bar.task.id);
    if (lane === undefined) {
      lane = { id: bar.task.id, label: bar.task.name, isWorker: false, bars: [] };
      lanes.set(bar.task.id, lane);
    }
    lane.bars.push(bar);
  }
  return [...lanes.values()];
}

/** As many lanes per worker as it had attempts at once. */
export function lanesByWorker(all: readonly Bar[], now: number): Lane[] {
  const workers = new Map<string, { lanes: Lane[]; free: number[] }>();
  for (const bar of all) {
    const id = bar.attempt.worker;
    let worker = workers.get(id);
    if (worker === undefined) workers.set(id, (worker = { lanes: [], free: [] }));
    let index = worker.free.findIndex((free) => free <= bar.assigned);
    if (index < 0) {
      index = worker.lanes.length;
      worker.lanes.push({ id: `${id}/${index}`, label: bar.attempt.worker_name ?? id, isWorker: true, bars: [] });
    }
    worker.lanes[index].bars.push(bar);
    worker.free[index] = bar.ended ?? now;
  }
  const ordered = [...workers.entries()].sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)));
  return ordered.flatMap(([, worker]) => worker.lanes);
}

/** From the first placement to the last end; to now while anything runs, and on to what is expected. */
export function extent(all: readonly Bar[], now: number, expected?: number): Span | undefined {
  if (all.length === 0) return undefined;
  let to = 0;
  for (const bar of all) to = Math.max(to, bar.ended ?? now);
  if (expected !== undefined) to = Math.max(to, expected);
  const from = all[0].assigned;
  return { from, to: Math.max(to, from + 100) };
}

const STEPS_S = [
  0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800,
  86_400, 172_800, 604_800,
];

/** Milliseconds since the begin at which the axis is marked: at most so many. */
export function ticks(span: Span, nMax: number): number[] {
  const length = span.to - span.from;
  const step = 1000 * (STEPS_S.find((it) => length / (it * 1000) <= nMax) ?? length / 1000 / nMax);
  const marks: number[] = [];
  for (let at = 0; at <= length; at += step) marks.push(at);
  return marks;
}
