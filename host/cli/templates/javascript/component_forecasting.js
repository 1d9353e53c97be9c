
export const forecasting = {
  forecast(workers) {
    return told(() => {
      const columns = policy.PROVIDES.map(() => new Array(count(workers)));
      const [lists, samples] = [workers.map((_, list) => list), new Array(workers.length)];
      for (let row = 0; row < count(workers); row++) {
        const values = policy.forecast(fill(samples, lists, workers, row));
        columns.forEach((column, index) => (column[row] = values[index]));
      }
      return columns;
    });
  },
};
