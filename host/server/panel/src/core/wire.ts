// What the host says, as its JSON has it. Only what the panel shows; unknown fields are left alone.

export type TaskState =
  | "PENDING" | "ASSIGNED" | "RUNNING" | "SUCCEEDED" | "FAILED" | "SKIPPED" | "CANCELLED";
export type JobState = "RUNNING" | "SUCCEEDED" | "FAILED" | "CANCELLED";
export type WorkerState = "live" | "suspect" | "draining" | "lost";
export type Slot = "scoring" | "queue" | "rescheduling" | "forecasting";
export type Terms = [string, number][];

export const TASK_STATES: readonly TaskState[] =
  ["PENDING", "ASSIGNED", "RUNNING", "SUCCEEDED", "FAILED", "SKIPPED", "CANCELLED"];

export interface Counts {
  pending: number; assigned: number; running: number; succeeded: number;
  failed: number; skipped: number; cancelled: number;
}

export interface Amounts { cpu: number; memory: number; gpu: number }

export interface Stamp { generation: number; digest: string }

export interface Outcome { kind: string; code?: number; message?: string }

export interface Reason {
  code: string; text: string; starts_when: string; left?: number; until?: string;
  asked?: Amounts; largest?: Amounts; best_free?: Amounts; task?: string; worker?: string;
}

export interface EndReason { code: string; text: string; root?: string; root_name?: string }

export interface Feedback {
  phase?: string; progress?: number; duration_ms: number; cpu_usage?: number; memory_mb?: number;
}

export interface Attempt {
  number: number; term: number; worker: string; worker_name?: string; devices?: number[];
  assigned: string; started?: string; ended?: string; outcome?: Outcome;
  decision: {
    scoring: Stamp; queue: Stamp; score: number;
    second?: { worker: string; worker_name?: string; score: number };
  };
}

export interface Dependency { id: string; name: string; state?: TaskState }

export interface Task {
  id: string; job: string; name: string; state: TaskState; queue: string; tenant: string;
  priority: number; raised_priority?: number; amounts: Amounts;
  n_dependencies: number; dependencies?: Dependency[];
  submitted: string; ready_since?: string; not_before?: string; ended?: string;
  reason?: Reason; end_reason?: EndReason; cancel_requested?: boolean;
  worker?: string; worker_name?: string; feedback?: Feedback;
  retries_used: number; losses_used: number; attempts?: Attempt[];
  script?: string; env?: Record<string, string>; workdir?: string; timeout?: string;
  expected?: string; max_retries?: number; max_worker_losses?: number; on_disconnect: string;
  labels?: Record<string, string>; requires?: Record<string, string>;
}

export interface Job {
  id: string; name: string; state: JobState; submitted: string; ended?: string;
  n_tasks: number; counts: Counts;
}

export interface Measurements {
  cpu_used?: number; memory_used?: number; iops_used?: number; rtt_ms?: number; connections?: number;
}

/** Of the history. */
export interface MeasurementRow { at: string; worker_name: string; measurements: Measurements }

export interface Worker {
  id: string; name: string; state: WorkerState; drained?: boolean; incarnation: number;
  capacity: Amounts; free?: Amounts; labels?: Record<string, string>; limits?: string;
  measurements: Measurements; last_heartbeat_ms_ago?: number; running: number;
  quarantined_until?: string; predicted?: Predicted;
}

/** What will be measured, some time after the newest measurement. */
export interface Predicted extends Measurements { horizon_ms: number }

export interface Queue {
  name: string; paused: boolean; pending: number; placed: number; limit?: number; discipline?: string;
}

export interface FailedPolicy {
  name: string; version: string; generation: number; digest: string; stage: string; kind: string;
  message: string; at?: string;
}

export interface Provenance {
  version?: string; description?: string; authors?: string; license?: string; source?: string;
  homepage?: string; revision?: string; made_with?: string[];
}

export interface Policy {
  slot: Slot; name: string; version: string; generation: number; digest: string; state: string;
  calls: number; failures: number; failures_by_kind?: Record<string, number>; lines_dropped: number;
  assets?: string; gauges?: Record<string, number>; p50_us?: number; p99_us?: number; since: string; source: string;
  bound?: string; chosen?: string; refusals: number; provenance?: Provenance; message?: string;
  last_failure?: FailedPolicy; forecasts?: Forecasts;
}

/** How the forecasts of the policy in force turned out. */
export interface Forecasts {
  horizon_ms: number; interval_ms: number; asked?: string; workers: number; took_us: number; columns: ForecastColumn[];
}

export interface ForecastColumn {
  column: string; fit: boolean; compared: number; error: number; persistence_error: number;
  seasonal_error?: number; ratio?: number;
}

export interface AvailablePolicy {
  name: string; version: string; slot: Slot; digest: string; source: string; provenance?: Provenance;
}

export interface RefusedPolicy { file: string; stage: string; digest: string; reason: string; at: string }

export interface PolicySwap {
  slot: Slot; at: string; name: string; version: string; generation: number; digest: string;
  source: string; cause: string;
}

export interface Policies {
  slots: Policy[]; available: AvailablePolicy[]; refused: RefusedPolicy[];
  looking_at?: { name: string; slot?: Slot; since: string };
  message?: string; history?: PolicySwap[];
}

export interface Snapshot {
  kind: "snapshot"; n: number; at: string; term: number; counts: Counts; jobs: Job[]; tasks: Task[];
  truncated: boolean; workers: Worker[]; queues: Queue[]; policies: Policies;
}

export interface Alert {
  kind: "alert"; alert: string; raised: boolean; worker?: string; worker_name?: string;
  value: number; threshold: number; text: string;
}

export type EventBody =
  | { kind: "task"; task: Task }
  | { kind: "task_forgotten"; task: string }
  | { kind: "job"; job: Job }
  | { kind: "job_forgotten"; job: string }
  | { kind: "worker"; worker: Worker }
  | { kind: "worker_forgotten"; worker: string }
  | { kind: "worker_state"; worker: string; state: WorkerState }
  | { kind: "worker_quarantined"; worker: string; n_failures: number; until?: string }
  | { kind: "losses_held"; n_silent: number; n_workers: number; until: string }
  | { kind: "measured"; worker: string; measurements: Measurements }
  | { kind: "forecast"; workers: { worker: string; predicted: Predicted }[] }
  | { kind: "feedback"; task: string; attempt: number; term: number; feedback: Feedback }
  | { kind: "stale_report"; worker: string; task: string; attempt: number; term: number }
  | { kind: "queue"; queue: Queue }
  | { kind: "policy"; slot?: Slot; change: "swapped" | "failed" | "refused"; policy?: Policy; reason?: string }
  | { kind: "config"; accepted: boolean; reason?: string }
  | { kind: "rescheduling"; task: string; action: string; reason: string; verdict: string }
  | Alert;

export type PublicEvent = { n: number; at: string } & EventBody;
export type Message = Snapshot | PublicEvent;

export interface Page<T> { items: T[]; next_cursor?: string }

export interface Verdict {
  worker: string; worker_name?: string; verdict: string; text: string; score?: number; terms?: Terms;
}

export interface Placed {
  attempt: number; worker: string; worker_name?: string; at: string; score: number; terms?: Terms;
  terms_missing?: string; queue_policy: Stamp; scoring_policy: Stamp; text?: string;
  second?: { worker: string; worker_name?: string; score: number; terms?: Terms };
}

export interface Explanation {
  task: string; state: TaskState; reason?: Reason; queue_position?: number;
  queue_policy: Stamp; scoring_policy: Stamp; workers: Verdict[]; terms_missing?: string;
  waits_for?: string[]; placed?: Placed;
}

export interface PathTask {
  id: string; name: string; state: TaskState; spent_ms: number; left_ms: number; slack_ms: number;
  is_on_path: boolean;
}

export interface CriticalPath {
  job: string; at: string; length_ms: number; left_ms: number; projected_finish?: string;
  n_unknown: number; n_on_path: number; tasks: PathTask[];
}

/** How the scoring policy sees each worker, for a task like the one placed last. */
export interface Scores {
  at: string; policy: Stamp; banded: boolean; task?: string; workers: Standing[]; terms_missing?: string;
}

export type Standing = Verdict & { band?: string };

export interface Bottlenecks {
  at: string; window_ms: number;
  workers: {
    worker: string; worker_name?: string; cpu: number; threshold: number;
    tasks: { id: string; name: string }[];
  }[];
  stages: {
    stage: string; n: number; p50_ms?: number; p99_ms?: number; threshold_ms: number; exceeded: boolean;
    tasks: { id: string; name: string; ms: number; worker?: string; worker_name?: string }[];
    workers: { worker: string; worker_name?: string; n: number }[];
  }[];
}

export interface Problem {
  title: string; status: number; code: string; detail: string; field?: string; remedy?: string;
}
