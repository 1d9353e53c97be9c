// When running work is moved: a task that takes much longer than expected gets another worker.

export const NAME = "javascript-example";
export const VERSION = "0.1.0";
export const PROPERTIES = { description: "moves what takes too long", "interval-ms": "5000" };

// What the host is to tell about each task and worker: `elapsed_ms` is the column `elapsed-ms`. What is
// not known is NaN.
export const TASK = ["elapsed_ms", "expected_ms", "attempt"];
export const WORKER = ["running"];

// A task is moved that runs longer than so many times what was expected.
const TIMES_EXPECTED = 2; // <-- change this line

/// The slot's `config` table; no keys yet.
export function configure(config) {
  for (const key of Object.keys(config)) throw new RangeError(`${key}: unknown key; there are none`);
}

/// Nothing, or an action ("migrate", "requeue", "cancel", or "raise-priority" with `to`) and its reason.
/// The host checks it and may refuse. Waiting tasks have no worker. The objects are used again for the
/// next row.
export function review(nowMs, task, worker) {
  if (worker === null || worker.running <= 1 || task.attempt >= 3) return null;
  // No comparison with NaN is true.
  if (task.elapsed_ms > TIMES_EXPECTED * task.expected_ms) {
    return { action: "migrate", reason: `takes more than ${TIMES_EXPECTED} times what was expected` };
  }
  return null;
}
