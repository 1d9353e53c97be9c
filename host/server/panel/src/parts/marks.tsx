// States as a glyph and a word, so that nothing hangs on colour alone.

import type { JobState, TaskState, WorkerState } from "../core/wire";

const GLYPHS: Record<string, string> = {
  PENDING: "M6 1.8a4.2 4.2 0 1 0 0 8.4a4.2 4.2 0 1 0 0-8.4",
  ASSIGNED: "M6 1.8a4.2 4.2 0 1 0 0 8.4a4.2 4.2 0 1 0 0-8.4M6 3.6V6l1.8 1.2",
  RUNNING: "M3.4 2v8l6.2-4z",
  SUCCEEDED: "M1.8 6.4l2.9 2.9L10.2 3",
  FAILED: "M2.4 2.4l7.2 7.2M9.6 2.4l-7.2 7.2",
  SKIPPED: "M2 2.6L5.4 6L2 9.4M6.4 2.6L9.8 6L6.4 9.4",
  CANCELLED: "M6 1.8a4.2 4.2 0 1 0 0 8.4a4.2 4.2 0 1 0 0-8.4M3 9l6-6",
  live: "M1.8 6.4l2.9 2.9L10.2 3",
  suspect: "M6 2v5M6 9.2v.8",
  draining: "M6 1.5v6.5M3 5.4L6 8.4l3-3M2 10.6h8",
  lost: "M2.4 2.4l7.2 7.2M9.6 2.4l-7.2 7.2",
};

const WORDS: Record<string, string> = {
  PENDING: "waiting", ASSIGNED: "assigned", RUNNING: "running", SUCCEEDED: "succeeded",
  FAILED: "failed", SKIPPED: "skipped", CANCELLED: "cancelled",
  live: "live", suspect: "silent", draining: "draining", lost: "lost",
};

export type AnyState = TaskState | JobState | WorkerState;

export function word(state: AnyState): string {
  return WORDS[state] ?? state;
}

export function glyph(state: AnyState): string {
  return GLYPHS[state] ?? GLYPHS.PENDING;
}

export function Glyph({ state }: { state: AnyState }) {
  return (
    <svg class={`glyph state-${state}`} viewBox="0 0 12 12" aria-hidden="true">
      <path d={glyph(state)} />
    </svg>
  );
}

export function StateMark({ state }: { state: AnyState }) {
  return (
    <span class={`mark state-${state}`} title={state}>
      <Glyph state={state} />
      {word(state)}
    </span>
  );
}

/** A part of a whole, with its number beside it. */
export function Meter({ part, label }: { part: number; label: string }) {
  const share = Math.max(0, Math.min(1, part));
  return (
    <span class="meter" role="img" aria-label={label} title={label}>
      <span class="meter-fill" style={{ width: `${share * 100}%` }} />
    </span>
  );
}
