// In which order ready tasks are considered: by priority, and by how long they have waited.

export const NAME = "{{name}}";
export const VERSION = "0.1.0";
export const PROPERTIES = { description: "priority and waiting time", discipline: "greedy" };

// What the host is to tell about each task: `submitted_ms` is the column `submitted-ms`.
export const TASK = ["submitted_ms", "priority"];

// One point of priority is worth so much waiting.
const MS_PER_PRIORITY = 60_000; // <-- change this line

/// The slot's `config` table; no keys yet.
export function configure(config) {
  for (const key of Object.keys(config)) throw new RangeError(`${key}: unknown key; there are none`);
}

/// Lower goes first. The object is used again for the next row.
export function rank(nowMs, task) {
  return task.submitted_ms - task.priority * MS_PER_PRIORITY;
}
