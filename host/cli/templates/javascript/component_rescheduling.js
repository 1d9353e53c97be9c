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
