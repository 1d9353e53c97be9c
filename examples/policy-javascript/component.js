// Between the contract in `../../wit/` and policy.js. Turns columns into rows, and every exception into an
// error that the host shows with the policy's name.

import * as policy from "./policy.js";

/// What is thrown as text becomes the text of an error of the contract.
function told(work) {
  try {
    return work();
  } catch (error) {
    throw error instanceof RangeError ? error.message : `${error}`;
  }
}

function count(columns) {
  return columns.length === 0 ? 0 : columns[0].length;
}

/// Fills `row` with the values in row `at`; one object serves all rows of a call.
function fill(row, fields, columns, at) {
  for (let column = 0; column < fields.length; column++) {
    row[fields[column]] = columns[column][at];
  }
  return row;
}

export const lifecycle = {
  configure(configJson) {
    return told(() => {
      policy.configure(JSON.parse(configJson));
      const properties = Object.entries(policy.PROPERTIES);
      for (const [key, fields] of [["needs-task", policy.TASK], ["needs-worker", policy.WORKER]]) {
        if (fields.length > 0) {
          properties.push([key, fields.map((field) => field.replaceAll("_", "-")).join(",")]);
        }
      }
      return { name: policy.NAME, version: policy.VERSION, properties };
    });
  },
};

const NO_WORKER = 4294967295;

export const rescheduling = {
  review(nowMs, tasks, onWorker, workers) {
    return told(() => {
      const [proposals, task, worker] = [[], {}, {}];
      for (let row = 0; row < onWorker.length; row++) {
        // Some engines hand a u32 over as a signed number.
        const at = onWorker[row] >>> 0;
        const on = at === NO_WORKER ? null : fill(worker, policy.WORKER, workers, at);
        const proposal = policy.review(nowMs, fill(task, policy.TASK, tasks, row), on);
        if (proposal) {
          const { action, to, reason } = proposal;
          proposals.push({ row, action: { tag: action, val: to }, reason });
        }
      }
      return proposals;
    });
  },
};
