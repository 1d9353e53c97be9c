// Which worker suits a task: the one with more free capacity, and the nearer one.

export const NAME = "{{name}}";
export const VERSION = "0.1.0";
// node-local: a score depends on this worker and this task alone, so the host asks only about workers
// that changed. Remove it if you compare workers with each other.
export const PROPERTIES = { description: "free capacity and nearness", "node-local": "true" };

// What the host is to tell about the task and about each worker: `cpu_load` is the column `cpu-load`.
// What was not measured is NaN.
export const TASK = [];
export const WORKER = ["cpu_load", "memory_load", "rtt_ms"];

// What nearness weighs against free capacity, from 0 to 1.
const NEARNESS = 0.4; // <-- change this line

let farMs = 100;

/// The slot's `config` table.
export function configure(config) {
  const { far_ms = 100, ...unknown } = config;
  for (const key of Object.keys(unknown)) throw new RangeError(`${key}: unknown key; there is far_ms`);
  if (!(far_ms > 0)) throw new RangeError(`far_ms: ${far_ms} is not a time in ms above 0`);
  farMs = far_ms;
}

function known(value, otherwise) {
  return Number.isNaN(value) ? otherwise : value;
}

/// From 0 to 1, higher is better. The objects are used again for the next row.
export function score(task, worker) {
  const load = Math.max(known(worker.cpu_load, 1), known(worker.memory_load, 1));
  const far = known(worker.rtt_ms, 0) / farMs;
  const free = 1 - Math.min(Math.max(load, 0), 1);
  const near = 1 - Math.min(Math.max(far, 0), 1);
  return (1 - NEARNESS) * free + NEARNESS * near;
}
