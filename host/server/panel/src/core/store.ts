// All that is known of the host: a snapshot, and what the events after it replaced. Work per batch is
// in proportion to what it changes. Knows nothing of the page, the network or the time of day.

import { Ring } from "./ring";
import { SortedIds, idNumber } from "./sorted";
import type {
  Counts, Feedback, Job, MeasurementRow, Message, Policies, Predicted, PublicEvent, Queue, Snapshot, Task,
  TaskState, Worker,
} from "./wire";

export const TASKS_MAX = 50_000;
export const JOBS_MAX = 5000;
/** So many more may gather before the oldest are sorted out. */
const JOBS_SPARE = 1000;
export const NO_COUNTS: Counts = {
  pending: 0, assigned: 0, running: 0, succeeded: 0, failed: 0, skipped: 0, cancelled: 0,
};

/** What `activity` lists. */
const NEWS = new Set([
  "policy", "config", "worker", "worker_state", "worker_quarantined", "losses_held", "queue",
  "rescheduling", "alert",
]);

/** What one batch changed, by key. */
export interface Changes {
  replaced: boolean;
  tasks: Set<string>;
  jobs: Set<string>;
  workers: Set<string>;
  queues: boolean;
  policies: boolean;
  news: PublicEvent[];
  feedback: { task: string; at: number; feedback: Feedback }[];
}

export class Store {
  n = 0;
  at = "";
  term = 0;
  readonly tasks = new Map<string, Task>();
  readonly jobs = new Map<string, Job>();
  readonly workers = new Map<string, Worker>();
  readonly queues = new Map<string, Queue>();
  policies: Policies = { slots: [], available: [], refused: [] };
  /** When a worker was heard of, in milliseconds of the local clock. */
  readonly heard = new Map<string, number>();
  /** cpu, memory, disk and round trip of each worker since the page was opened. */
  readonly measured = new Map<string, Ring>();
  /** All kept tasks by id. */
  readonly ids = new SortedIds();
  /** Every task of the host is kept here. */
  isComplete = true;
  /** Older tasks were left out since there are too many. */
  isCapped = false;
  /** The lowest numbers in the snapshot: what it left out is below. Events may have told of some of it since. */
  snapshotFrom = { tasks: Infinity, jobs: Infinity };
  private told: Counts = { ...NO_COUNTS };
  private readonly kept: Counts = { ...NO_COUNTS };
  private readonly keptByJob = new Map<string, Counts>();
  private largest = 0;
  /** Older rows are being asked for. */
  private isFilling = false;
  /** Forgotten while older rows are being asked for: an answer that was under way does not bring them back. */
  private readonly forgotten = new Set<string>();

  constructor(private readonly max: number = TASKS_MAX) {}

  apply(messages: readonly Message[], now: number): Changes {
    const changes = noChanges();
    for (const message of messages) {
      if (message.kind === "snapshot") this.replace(message, now, changes);
      else if (message.n > this.n) this.follow(message, now, changes);
    }
    this.settle(changes);
    return changes;
  }

  /** Older rows that the snapshot left out. A row that is known already is newer than these. */
  addOlder(tasks: readonly Task[]): Changes {
    const changes = noChanges();
    for (const task of tasks) {
      const known = this.tasks.get(task.id);
      if (known !== undefined) this.setReason(known, task, changes);
      else if (!this.forgotten.has(task.id) && this.ids.length + changes.tasks.size < this.max) {
        this.put(task, changes);
      } else if (!this.forgotten.has(task.id)) this.isCapped = true;
    }
    this.settle(changes);
    return changes;
  }

  addOlderJobs(jobs: readonly Job[]): Changes {
    const changes = noChanges();
    for (const job of jobs) {
      if (this.jobs.has(job.id)) continue;
      this.jobs.set(job.id, job);
      changes.jobs.add(job.id);
    }
    return changes;
  }

  /** Rows as asked for just now: what is summed up in them is not told by events. */
  refreshWorkers(workers: readonly Worker[], now: number): Changes {
    const changes = noChanges();
    for (const worker of workers) {
      if (this.workers.has(worker.id)) this.putWorker(worker, now, changes);
    }
    return changes;
  }

  refreshQueues(queues: readonly Queue[]): Changes {
    queues.forEach((queue) => this.queues.set(queue.name, queue));
    return { ...noChanges(), queues: true };
  }

  refreshJob(job: Job): Changes {
    const changes = noChanges();
    if (this.jobs.has(job.id)) {
      this.jobs.set(job.id, job);
      changes.jobs.add(job.id);
    }
    return changes;
  }

  /** Why waiting tasks wait is no row's own: events do not tell it. */
  addReasons(tasks: readonly Task[]): Changes {
    const changes = noChanges();
    for (const task of tasks) {
      const known = this.tasks.get(task.id);
      if (known !== undefined) this.setReason(known, task, changes);
    }
    return changes;
  }

  /** All older rows have been asked for. */
  finishOlder(): void {
    this.forgotten.clear();
    this.isFilling = false;
    this.isComplete = !this.isCapped;
  }

  /** As the host counts them now. */
  setCounts(counts: Counts): void {
    this.told = { ...counts };
  }

  /** Of all tasks of the host. */
  counts(): Counts {
    return this.isComplete ? this.kept : this.told;
  }

  /** Of one job: by its rows if all of them are here. */
  jobCounts(job: Job): { counts: Counts; isExact: boolean } {
    const kept = this.keptByJob.get(job.id);
    if (this.isComplete || (kept !== undefined && total(kept) >= job.n_tasks)) {
      return { counts: kept ?? NO_COUNTS, isExact: true };
    }
    return { counts: job.counts, isExact: false };
  }

  private replace(snapshot: Snapshot, now: number, changes: Changes): void {
    if (snapshot.term !== this.term) this.measured.clear();
    for (const map of [this.tasks, this.jobs, this.workers, this.queues, this.heard, this.keptByJob]) {
      map.clear();
    }
    this.forgotten.clear();
    this.ids.replace([]);
    Object.assign(this.kept, NO_COUNTS);
    Object.assign(changes, noChanges(), { replaced: true, queues: true, policies: true });
    this.n = snapshot.n;
    this.at = snapshot.at;
    this.term = snapshot.term;
    this.told = { ...snapshot.counts };
    this.policies = snapshot.policies;
    this.isComplete = !snapshot.truncated;
    this.isFilling = snapshot.truncated;
    this.isCapped = false;
    this.largest = 0;
    this.snapshotFrom = { tasks: lowest(snapshot.tasks), jobs: lowest(snapshot.jobs) };
    snapshot.jobs.forEach((job) => this.jobs.set(job.id, job));
    snapshot.queues.forEach((queue) => this.queues.set(queue.name, queue));
    snapshot.workers.forEach((worker) => this.putWorker(worker, now, changes));
    snapshot.tasks.forEach((task) => this.put(task, changes));
    for (const id of this.measured.keys()) if (!this.workers.has(id)) this.measured.delete(id);
  }

  private follow(event: PublicEvent, now: number, changes: Changes): void {
    this.n = event.n;
    this.at = event.at;
    if (NEWS.has(event.kind)) changes.news.push(event);
    switch (event.kind) {
      case "task":
        this.putChanged(event.task, changes);
        break;
      case "task_forgotten":
        this.forget(event.task, changes);
        break;
      case "job":
        this.jobs.set(event.job.id, event.job);
        changes.jobs.add(event.job.id);
        break;
      case "job_forgotten":
        this.jobs.delete(event.job);
        changes.jobs.add(event.job);
        break;
      case "feedback":
        this.noteFeedback(event.task, event.feedback, Date.parse(event.at), changes);
        break;
      case "queue":
        this.queues.set(event.queue.name, event.queue);
        changes.queues = true;
        break;
      case "policy":
        this.notePolicy(event);
        changes.policies = true;
        break;
      default:
        this.followWorker(event, now, changes);
    }
  }

  private followWorker(event: PublicEvent, now: number, changes: Changes): void {
    switch (event.kind) {
      case "worker":
        this.putWorker(event.worker, now, changes);
        break;
      case "worker_forgotten":
        for (const map of [this.workers, this.heard, this.measured]) map.delete(event.worker);
        changes.workers.add(event.worker);
        break;
      case "worker_state":
        if (event.state === "live") this.heard.set(event.worker, now);
        this.changeWorker(event.worker, { state: event.state }, changes);
        break;
      case "worker_quarantined":
        this.changeWorker(event.worker, { quarantined_until: event.until }, changes);
        break;
      case "measured": {
        const it = event.measurements;
        this.heard.set(event.worker, now);
        this.ring(event.worker).push(Date.parse(event.at), measuredValues(it));
        this.changeWorker(event.worker, { measurements: it }, changes);
        break;
      }
      case "forecast":
        this.foretell(event.workers, changes);
        break;
      default:
      // Kinds that change no row, and those of later versions.
    }
  }

  /** Of workers that are not named nothing is foretold any more. */
  private foretell(foretold: { worker: string; predicted: Predicted }[], changes: Changes): void {
    const named = new Map(foretold.map((it) => [it.worker, it.predicted]));
    for (const [id, worker] of this.workers) {
      const predicted = named.get(id);
      if (predicted !== undefined || worker.predicted !== undefined) this.changeWorker(id, { predicted }, changes);
    }
  }

  private putChanged(task: Task, changes: Changes): void {
    const n = idNumber(task.id);
    const old = this.tasks.get(task.id);
    if (old !== undefined) this.told[key(old.state)] -= 1;
    // A state that is left by a task that is not kept is not known; the host is asked now and then.
    if (old !== undefined || n > this.largest) this.told[key(task.state)] += 1;
    // Only why it still waits for the same is still true.
    const stillWaits = old?.reason !== undefined && old.state === "PENDING" && task.state === "PENDING";
    this.put(stillWaits ? { ...task, reason: old.reason } : task, changes);
  }

  private put(task: Task, changes: Changes): void {
    const old = this.tasks.get(task.id);
    if (old !== undefined) this.countRow(old, -1);
    this.countRow(task, 1);
    this.tasks.set(task.id, task);
    this.largest = Math.max(this.largest, idNumber(task.id));
    changes.tasks.add(task.id);
    changes.jobs.add(task.job);
  }

  private forget(id: string, changes: Changes): void {
    if (this.isFilling) this.forgotten.add(id);
    const old = this.tasks.get(id);
    if (old === undefined) return;
    this.told[key(old.state)] -= 1;
    this.drop(old, changes);
  }

  private drop(task: Task, changes: Changes): void {
    this.countRow(task, -1);
    if (total(this.keptByJob.get(task.job) ?? NO_COUNTS) === 0) this.keptByJob.delete(task.job);
    this.tasks.delete(task.id);
    changes.tasks.add(task.id);
    changes.jobs.add(task.job);
  }

  private countRow(task: Task, by: 1 | -1): void {
    let ofJob = this.keptByJob.get(task.job);
    if (ofJob === undefined) this.keptByJob.set(task.job, (ofJob = { ...NO_COUNTS }));
    for (const counts of [this.kept, ofJob]) counts[key(task.state)] += by;
  }

  private noteFeedback(id: string, feedback: Feedback, at: number, changes: Changes): void {
    changes.feedback.push({ task: id, at, feedback });
    const task = this.tasks.get(id);
    if (task === undefined) return;
    this.tasks.set(id, { ...task, feedback });
    changes.tasks.add(id);
  }

  private setReason(known: Task, asked: Task, changes: Changes): void {
    if (known.state !== "PENDING" || asked.state !== "PENDING" || asked.reason === undefined) return;
    if (known.reason?.text === asked.reason.text) return;
    this.tasks.set(known.id, { ...known, reason: asked.reason });
    changes.tasks.add(known.id);
  }

  private notePolicy(event: PublicEvent & { kind: "policy" }): void {
    const { policy } = event;
    if (policy === undefined) return;
    const slots = this.policies.slots.filter((it) => it.slot !== policy.slot);
    this.policies = { ...this.policies, slots: [...slots, policy] };
  }

  private putWorker(worker: Worker, now: number, changes: Changes): void {
    this.workers.set(worker.id, worker);
    if (worker.last_heartbeat_ms_ago !== undefined) {
      this.heard.set(worker.id, now - worker.last_heartbeat_ms_ago);
    }
    changes.workers.add(worker.id);
  }

  private changeWorker(id: string, change: Partial<Worker>, changes: Changes): void {
    const worker = this.workers.get(id);
    if (worker === undefined) return;
    this.workers.set(id, { ...worker, ...change });
    changes.workers.add(id);
  }

  /** What it measured before this page was opened. */
  addMeasured(worker: string, rows: readonly MeasurementRow[]): Changes {
    const changes = noChanges();
    if (!this.workers.has(worker) || rows.length === 0) return changes;
    this.ring(worker).prepend(rows.map((it) => ({ atMs: Date.parse(it.at), values: measuredValues(it.measurements) })));
    changes.workers.add(worker);
    return changes;
  }

  private ring(worker: string): Ring {
    let ring = this.measured.get(worker);
    if (ring === undefined) this.measured.set(worker, (ring = new Ring(4)));
    return ring;
  }

  /** Brings the order of ids up to date, and lets the oldest go where there are too many. */
  private settle(changes: Changes): void {
    const added: number[] = [];
    const removed: number[] = [];
    for (const id of changes.tasks) (this.tasks.has(id) ? added : removed).push(idNumber(id));
    this.ids.change(added.filter((id) => !this.ids.has(id)), removed);
    while (this.ids.length > this.max) this.dropOldest(changes);
    if (this.jobs.size > JOBS_MAX + JOBS_SPARE) this.dropOldestJobs(changes);
  }

  private dropOldestJobs(changes: Changes): void {
    const oldest = [...this.jobs.keys()].sort((a, b) => idNumber(a) - idNumber(b)).slice(0, -JOBS_MAX);
    for (const id of oldest) {
      this.jobs.delete(id);
      changes.jobs.add(id);
    }
  }

  private dropOldest(changes: Changes): void {
    const nTooMany = this.ids.length - this.max;
    const oldest = Array.from({ length: nTooMany }, (_, i) => this.ids.fromTop(this.ids.length - 1 - i));
    if (this.isComplete) this.told = { ...this.kept };
    this.isComplete = false;
    this.isCapped = true;
    for (const n of oldest) {
      const task = this.tasks.get(`t${n}`);
      if (task !== undefined) this.drop(task, changes);
    }
    this.ids.change([], oldest);
  }
}

export function key(state: TaskState): keyof Counts {
  return state.toLowerCase() as keyof Counts;
}

export function total(counts: Counts): number {
  return Object.values(counts).reduce((sum: number, it: number) => sum + it, 0);
}

function lowest(rows: readonly { id: string }[]): number {
  return rows.reduce((least, row) => Math.min(least, idNumber(row.id)), Infinity);
}

function measuredValues(it: Worker["measurements"]): (number | undefined)[] {
  return [it.cpu_used, it.memory_used, it.iops_used, it.rtt_ms];
}

export function noChanges(): Changes {
  return {
    replaced: false, tasks: new Set(), jobs: new Set(), workers: new Set(), queues: false,
    policies: false, news: [], feedback: [],
  };
}
