// The last points of a chart: times in seconds and one list of values per series.

/** An hour at the usual interval of 5 s, and some. */
export const POINTS_MAX = 800;

export interface Point { atMs: number; values: readonly (number | undefined)[] }

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

  /** Puts points before all others, evenly thinned out to as many as there is room for. */
  prepend(points: readonly Point[]): void {
    const first = this.times.length > 0 ? this.times[0] : Infinity;
    const older = points.filter((it) => it.atMs / 1000 < first);
    const grow = older.filter((it, i) => i === 0 || it.atMs > older[i - 1].atMs);
    const kept = thinned(grow, POINTS_MAX - this.times.length);
    this.times.unshift(...kept.map((it) => it.atMs / 1000));
    this.values.forEach((list, series) => list.unshift(...kept.map((it) => it.values[series] ?? null)));
  }
}

/** Every so many, the last one included. */
function thinned<T>(list: readonly T[], max: number): T[] {
  if (max <= 0) return [];
  const step = Math.ceil(list.length / max);
  return list.filter((_, i) => (list.length - 1 - i) % step === 0);
}
