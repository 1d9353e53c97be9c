export const queue = {
  rank(nowMs, tasks) {
    return told(() => {
      const [ranks, task] = [new Array(count(tasks)), {}];
      for (let row = 0; row < ranks.length; row++) {
        ranks[row] = policy.rank(nowMs, fill(task, policy.TASK, tasks, row));
      }
      return ranks;
    });
  },
};
