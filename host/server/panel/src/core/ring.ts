// The last points of a chart: times in seconds and one list of values per series.

export const POINTS_MAX = 300;

export class Ring {
  readonly times: number[] = [];
  readonly values: (number | null)[][];

  constructor(nSeries: number) {
    this.values = Array.from({ length: nSeries }, () => []);
  }

  push(atMs: number, values: readonly (number | undefined)[]): void {
    const at = atMs / 1000;
    // A chart's times grow; a repeated one says nothing new.
    if (this.times.length > 0 && at <= this.times[this.times.length - 1]) return;
    this.times.push(at);
    this.values.forEach((list, series) => list.push(values[series] ?? null));
    if (this.times.length > POINTS_MAX) {
      this.times.shift();
      this.values.forEach((list) => list.shift());
    }
  }
}
