export const scoring = {
  score(taskColumns, workers) {
    return told(() => {
      const task = {};
      policy.TASK.forEach((field, column) => (task[field] = taskColumns[column]));
      const [scores, worker] = [new Array(count(workers)), {}];
      for (let row = 0; row < scores.length; row++) {
        scores[row] = policy.score(task, fill(worker, policy.WORKER, workers, row));
      }
      return scores;
    });
  },
};
