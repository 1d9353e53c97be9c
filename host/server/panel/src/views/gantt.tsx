// When which attempt ran where: all attempts, the failed and lost ones too, over time.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { clockInFull, duration } from "../core/format";
import { bars, extent, lanesByTask, lanesByWorker, ticks, type Bar, type Lane, type Span } from "../core/gantt";
import { taskLink } from "../core/route";
import { sharedPrefix } from "../core/text";
import type { CriticalPath, Task } from "../core/wire";
import { hostNow, secondTick } from "../live";
import { EndsKept } from "../parts/ends_kept";
import { Section } from "../parts/notes";
import { NARROW, useMedia, useWindow } from "../parts/window";

const LANE_PX = 20;
const LABEL_PX = 230;
const LABEL_NARROW_PX = 110;
const TICK_PX = 90;
const ZOOM_MAX = 64;

/** How an attempt ended, in words; the glyph stands on the bar. */
const KINDS: Record<string, [word: string, glyph: string]> = {
  running: ["running", "▸"], succeeded: ["succeeded", ""], exit_code: ["failed", "✕"], signal: ["killed by a signal", "✕"],
  timeout: ["timed out", "✕"], out_of_memory: ["out of memory", "✕"], start_failed: ["could not start", "✕"],
  worker_lost: ["worker lost", "?"], migrated: ["migrated", "»"], preempted: ["preempted", "»"], cancelled: ["cancelled", "⊘"],
};

interface GanttProps { tasks: ReadonlyMap<string, Task>; tick: number; path?: CriticalPath }

export function Gantt({ tasks, tick, path }: GanttProps) {
  const [isByWorker, setIsByWorker] = useState(false);
  const [zoom, setZoom] = useState(1);
  const all = useMemo(() => bars(tasks.values()), [tasks, tick]);
  const isOpen = all.some((bar) => bar.ended === undefined);
  // Only what runs moves with the time.
  if (isOpen) void secondTick.value;
  const now = hostNow();
  const lanes = useMemo(() => (isByWorker ? lanesByWorker(all, now) : lanesByTask(all)), [all, isByWorker]);
  const onPath = useMemo(() => new Set((path?.tasks ?? []).filter((it) => it.is_on_path).map((it) => it.id)), [path]);
  const finish = path?.projected_finish === undefined ? undefined : Date.parse(path.projected_finish);
  const span = extent(all, now, finish);
  if (span === undefined) {
    return <Section title="Attempts over time"><p class="faint">Nothing has been placed on a worker yet.</p></Section>;
  }
  return (
    <Section
      title="Attempts over time"
      aside={
        <span class="tools">
          <span class="switch" role="group" aria-label="Rows">
            <button type="button" aria-pressed={!isByWorker} onClick={() => setIsByWorker(false)}>by task</button>
            <button type="button" aria-pressed={isByWorker} onClick={() => setIsByWorker(true)}>by worker</button>
          </span>
          <button type="button" onClick={() => setZoom(Math.max(1, zoom / 2))} aria-label="Less time detail">−</button>
          <button type="button" onClick={() => setZoom(Math.min(ZOOM_MAX, zoom * 2))} aria-label="More time detail">+</button>
        </span>
      }
    >
      <Lanes lanes={lanes} span={span} now={isOpen ? now : undefined} finish={finish} zoom={zoom} onPath={onPath} />
      <Legend all={all} hasFinish={finish !== undefined} />
    </Section>
  );
}

interface LanesProps { lanes: Lane[]; span: Span; now?: number; finish?: number; zoom: number; onPath: Set<string> }

function Lanes({ lanes, span, now, finish, zoom, onPath }: LanesProps) {
  const box = useRef<HTMLDivElement>(null);
  const [boxWidth, setBoxWidth] = useState(900);
  const labelPx = useMedia(NARROW) ? LABEL_NARROW_PX : LABEL_PX;
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setBoxWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const { first, end } = useWindow(box, lanes.length, LANE_PX);
  const prefix = useMemo(() => sharedPrefix(lanes.filter((it) => !it.isWorker).map((it) => it.label)), [lanes]);
  const lanePx = Math.max(120, boxWidth - labelPx - 12) * zoom;
  const x = (at: number) => ((at - span.from) / (span.to - span.from)) * lanePx;
  const marks = ticks(span, Math.max(2, Math.floor(lanePx / TICK_PX)));
  return (
    <div class="gantt" data-testid="gantt" ref={box} tabIndex={0} role="group" aria-label="Attempts over time, by row">
      <div class="gantt-sheet" style={{ width: `${labelPx + lanePx + 12}px`, height: `${(lanes.length + 1) * LANE_PX + 4}px` }}>
        <div class="gantt-axis">
          <span class="gantt-label" style={{ width: `${labelPx}px` }} title={clockInFull(new Date(span.from))}>since the first placement</span>
          {marks.map((at) => (
            <span key={at} class="gantt-tick" style={{ left: `${labelPx + x(span.from + at)}px` }} title={clockInFull(new Date(span.from + at))}>
              {at === 0 ? "0" : duration(at)}
            </span>
          ))}
        </div>
        {now !== undefined && <span class="gantt-line is-now" style={{ left: `${labelPx + x(now)}px` }} title="now" />}
        {finish !== undefined && <span class="gantt-line is-finish" style={{ left: `${labelPx + x(finish)}px` }} title="projected finish" />}
        {lanes.slice(first, end).map((lane, at) => (
          <div key={lane.id} class="gantt-lane" style={{ top: `${(first + at + 1) * LANE_PX}px` }}>
            <span class="gantt-label" style={{ width: `${labelPx}px` }} title={lane.label}>
              {lane.isWorker
                ? lane.label
                : <a href={taskLink(lane.id)} tabIndex={-1}><EndsKept text={`${onPath.has(lane.id) ? "◆ " : ""}${lane.label.slice(prefix.length)}`} /></a>}
            </span>
            {lane.bars.map((bar) => <BarBox key={`${bar.task.id}/${bar.attempt.number}`} bar={bar} x={x} left={labelPx} now={now ?? span.to} />)}
          </div>
        ))}
      </div>
    </div>
  );
}

interface BarProps { bar: Bar; x: (at: number) => number; left: number; now: number }

function BarBox({ bar, x, left, now }: BarProps) {
  const ended = bar.ended ?? now;
  const started = bar.started ?? ended;
  const [from, begin, to] = [x(bar.assigned), x(started), x(ended)];
  const [words, mark] = KINDS[bar.kind] ?? [bar.kind, ""];
  const { attempt, task } = bar;
  const title = [
    `${task.id} ${task.name}, attempt ${attempt.number} on ${attempt.worker_name ?? attempt.worker}: ${words}`,
    `start after ${duration(started - bar.assigned)}, ran ${bar.started === undefined ? "never" : duration(ended - bar.started)}`,
  ].join("\n");
  return (
    <a href={taskLink(task.id)} tabIndex={-1} class={`gantt-bar kind-${bar.kind}`} title={title} data-kind={bar.kind} style={{ left: `${left + from}px`, width: `${Math.max(2, to - from)}px` }}>
      <span class="gantt-start" style={{ width: `${Math.max(0, begin - from)}px` }} />
      <span class="gantt-run">{to - begin > 12 ? mark : ""}</span>
    </a>
  );
}

function Legend({ all, hasFinish }: { all: Bar[]; hasFinish: boolean }) {
  const kinds = [...new Set(all.map((bar) => bar.kind))];
  return (
    <p class="legend faint">
      {kinds.map((kind) => (
        <span key={kind}>
          <span class={`swatch kind-${kind}`} aria-hidden="true">{KINDS[kind]?.[1]}</span> {KINDS[kind]?.[0] ?? kind}
        </span>
      ))}
      <span><span class="swatch is-start" aria-hidden="true" /> placed, not started</span>
      {hasFinish && <span>dashed line: projected finish</span>}
      <span>◆ on the critical path</span>
    </p>
  );
}
