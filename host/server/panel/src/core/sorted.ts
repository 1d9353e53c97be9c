// Ids in ascending order, kept so by work in proportion to what changes.

/** The number in an id like `t12`; ids are ordered by it. */
export function idNumber(id: string): number {
  return Number(id.slice(1));
}

/** Changes from this many on are merged in one pass. */
const MERGE_FROM = 64;

export class SortedIds {
  private ids: number[] = [];

  get length(): number {
    return this.ids.length;
  }

  /** Counted from the largest. */
  fromTop(index: number): number {
    return this.ids[this.ids.length - 1 - index];
  }

  /** How many are larger: the place counted from the top, if it is there. */
  nAbove(id: number): number {
    return this.ids.length - this.upper(id);
  }

  has(id: number): boolean {
    const at = this.upper(id);
    return at > 0 && this.ids[at - 1] === id;
  }

  replace(ids: Iterable<number>): void {
    this.ids = [...ids].sort((a, b) => a - b);
  }

  change(added: readonly number[], removed: readonly number[]): void {
    if (removed.length >= MERGE_FROM) {
      const gone = new Set(removed);
      this.ids = this.ids.filter((id) => !gone.has(id));
    } else {
      removed.forEach((id) => this.remove(id));
    }
    if (added.length >= MERGE_FROM) this.merge(added);
    else added.forEach((id) => this.insert(id));
  }

  private upper(id: number): number {
    let low = 0;
    let high = this.ids.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ids[middle] <= id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private insert(id: number): void {
    const at = this.upper(id);
    if (at > 0 && this.ids[at - 1] === id) return;
    if (at === this.ids.length) this.ids.push(id);
    else this.ids.splice(at, 0, id);
  }

  private remove(id: number): void {
    const at = this.upper(id) - 1;
    if (at >= 0 && this.ids[at] === id) this.ids.splice(at, 1);
  }

  private merge(added: readonly number[]): void {
    const fresh = [...added].sort((a, b) => a - b);
    const merged: number[] = [];
    let at = 0;
    const push = (id: number) => {
      if (merged.length === 0 || merged[merged.length - 1] !== id) merged.push(id);
    };
    for (const id of this.ids) {
      while (at < fresh.length && fresh[at] < id) push(fresh[at++]);
      push(id);
    }
    while (at < fresh.length) push(fresh[at++]);
    this.ids = merged;
  }
}
