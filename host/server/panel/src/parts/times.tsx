// Points in time and how long ago they were.

import { clock, clockInFull, duration, span } from "../core/format";
import { hostNow, secondTick } from "../live";

export function Time({ at }: { at: string | undefined }) {
  if (at === undefined) return <span class="faint">–</span>;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <span>{at}</span>;
  return <time dateTime={date.toISOString()} title={clockInFull(date)}>{clock(date, new Date())}</time>;
}

/** How long since; ticks. */
export function Since({ at }: { at: string }) {
  void secondTick.value;
  return <span title={clockInFull(new Date(at))}>{span(hostNow() - Date.parse(at))}</span>;
}

/** How long from one to the other, or until now. */
export function Took({ from, to }: { from?: string; to?: string }) {
  if (from === undefined) return <span class="faint">–</span>;
  if (to === undefined) return <Since at={from} />;
  return <span>{duration(Date.parse(to) - Date.parse(from))}</span>;
}

/** A time to come; ticks down. */
export function Until({ at }: { at: string }) {
  void secondTick.value;
  const left = Date.parse(at) - hostNow();
  return <span title={clockInFull(new Date(at))}>{left > 0 ? `in ${span(left + 999)}` : "now"}</span>;
}
