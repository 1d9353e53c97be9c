// Rows of tasks by id, newest first; only those in sight are rendered.

import { memo } from "../parts/memo";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { SortedIds } from "../core/sorted";
import { taskLink } from "../core/route";
import type { Task } from "../core/wire";
import { store } from "../live";
import { EndsKept } from "../parts/ends_kept";
import { Meter, StateMark } from "../parts/marks";
import { Time, Took } from "../parts/times";
import { NARROW, OVERSCAN, useMedia, useWindow } from "../parts/window";

const ROW_PX = 28;
const CARD_PX = 62;
const REASONS_MS = 4_000;
const COLUMNS = ["State", "Id", "Name", "Queue", "Worker", "Submitted", "Took", "Note"];

interface TableProps {
  ids: SortedIds;
  /** Another number whenever the ids or their rows changed: both are changed in place. */
  tick: number;
  onSeen?: (rows: readonly Task[]) => void;
  isInPage?: boolean;
  /** Under which name the place is kept for who comes back. */
  place?: string;
}

export function TaskTable({ ids, onSeen, isInPage, place }: TableProps) {
  const box = useRef<HTMLDivElement>(null);
  const rowPx = useMedia(NARROW) ? CARD_PX : ROW_PX;
  const { first, end } = useWindow(box, ids.length, rowPx);
  const [active, setActive] = useState<number | undefined>(undefined);
  useKeptPlace(box, ids, rowPx, place);
  const rows: Task[] = [];
  for (let index = first; index < end; index++) {
    const task = store.tasks.get(`t${ids.fromTop(index)}`);
    if (task !== undefined) rows.push(task);
  }
  const seen = useRef(rows);
  seen.current = rows;
  useEffect(() => {
    if (onSeen === undefined) return;
    const look = () => onSeen(seen.current);
    look();
    const timer = setInterval(look, REASONS_MS);
    return () => clearInterval(timer);
  }, [onSeen, first]);

  const activeIndex = active !== undefined && ids.has(active) ? ids.nAbove(active) : 0;
  // One row in sight can be reached by Tab, also when the active one has been scrolled away.
  const isActiveSeen = activeIndex >= first && activeIndex < end;
  const tabIndex = isActiveSeen ? activeIndex : Math.min(end - 1, first === 0 ? 0 : first + OVERSCAN);
  const move = (to: number) => {
    const index = Math.max(0, Math.min(ids.length - 1, to));
    setActive(ids.fromTop(index));
    focusRow(box.current, index, rowPx);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / rowPx) - 1);
    const steps: Record<string, number> = {
      ArrowDown: activeIndex + 1, ArrowUp: activeIndex - 1, PageDown: activeIndex + page,
      PageUp: activeIndex - page, Home: 0, End: ids.length - 1,
    };
    if (event.key in steps) {
      event.preventDefault();
      move(steps[event.key]);
    } else if (event.key === "Enter" && event.target instanceof HTMLElement && event.target.getAttribute("role") === "row") {
      location.hash = taskLink(`t${ids.fromTop(activeIndex)}`);
    }
  };
  return (
    <div
      class={isInPage ? "table is-in-page" : "table"} role="grid" aria-label="Tasks" aria-rowcount={ids.length + 1}
      onKeyDown={onKeyDown} aria-readonly="true"
    >
      <div class="row head" role="row" aria-rowindex={1}>
        {COLUMNS.map((name) => <span key={name} role="columnheader" class={`col-${name.toLowerCase()}`}>{name}</span>)}
      </div>
      <div class="scroll" ref={box} role="rowgroup" tabIndex={-1}>
        <div class="tall" role="presentation" style={{ height: `${ids.length * rowPx}px` }}>
          {rows.map((task, at) => (
            <Row
              key={task.id} task={task} index={first + at} rowPx={rowPx} isReached={first + at === tabIndex}
              onFocus={setActive}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

/** Ids of the topmost rows in sight, by place. */
const leftAt = new Map<string, number>();

/** New rows come in above: who has scrolled down stays with the rows in sight, and finds them when back. */
function useKeptPlace(box: { current: HTMLDivElement | null }, ids: SortedIds, rowPx: number, name = ""): void {
  const place = useRef<{ ids: SortedIds; id: number; index: number } | undefined>(undefined);
  useLayoutEffect(() => {
    const id = leftAt.get(name);
    if (box.current !== null && id !== undefined && ids.has(id)) box.current.scrollTop = ids.nAbove(id) * rowPx;
  }, []);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const before = place.current;
    if (before !== undefined && before.ids === ids && ids.has(before.id) && before.index > 0) {
      const nCame = ids.nAbove(before.id) - before.index;
      if (nCame !== 0) element.scrollTop += nCame * rowPx;
    }
    const note = () => {
      const index = Math.min(ids.length - 1, Math.floor(element.scrollTop / rowPx));
      place.current = { ids, id: ids.fromTop(index), index };
      if (name !== "" && index > 0) leftAt.set(name, ids.fromTop(index));
      else leftAt.delete(name);
    };
    note();
    element.addEventListener("scroll", note, { passive: true });
    return () => element.removeEventListener("scroll", note);
  });
}

function focusRow(box: HTMLDivElement | null, index: number, rowPx: number): void {
  if (box === null) return;
  const top = index * rowPx;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + rowPx > box.scrollTop + box.clientHeight) box.scrollTop = top + rowPx - box.clientHeight;
  // The row may only be made by that scrolling.
  const focus = (nTries: number) => {
    const row = box.querySelector<HTMLElement>(`[aria-rowindex="${index + 2}"]`);
    if (row !== null) row.focus({ preventScroll: true });
    else if (nTries > 0) requestAnimationFrame(() => focus(nTries - 1));
  };
  requestAnimationFrame(() => focus(5));
}

interface RowProps {
  task: Task;
  index: number;
  rowPx: number;
  /** By the Tab key. */
  isReached: boolean;
  onFocus: (id: number) => void;
}

const Row = memo(function Row({ task, index, rowPx, isReached, onFocus }: RowProps) {
  const last = task.attempts?.at(-1);
  const worker = task.worker_name ?? last?.worker_name ?? task.worker ?? last?.worker;
  return (
    <div
      class="row" role="row" aria-rowindex={index + 2} tabIndex={isReached ? 0 : -1} data-testid="task-row"
      data-task={task.id} style={{ transform: `translateY(${index * rowPx}px)` }}
      onFocus={() => onFocus(Number(task.id.slice(1)))}
      onClick={(event) => {
        if (!(event.target instanceof HTMLAnchorElement)) location.hash = taskLink(task.id);
      }}
    >
      <span role="gridcell" class="col-state"><StateMark state={task.state} /></span>
      <span role="gridcell" class="col-id num">{task.id}</span>
      <span role="gridcell" class="col-name" title={task.name}>
        <a href={taskLink(task.id)} tabIndex={-1}><EndsKept text={task.name} /></a>
      </span>
      <span role="gridcell" class="col-queue" title={task.queue}>{task.queue}</span>
      <span role="gridcell" class="col-worker" title={worker}>{worker ?? ""}</span>
      <span role="gridcell" class="col-submitted num"><Time at={task.submitted} /></span>
      <span role="gridcell" class="col-took num">{last && <Took from={last.started} to={last.ended} />}</span>
      <span role="gridcell" class="col-note"><Note task={task} /></span>
    </div>
  );
});

function Note({ task }: { task: Task }) {
  if (task.state === "RUNNING" && task.feedback?.progress !== undefined) {
    const { phase, progress } = task.feedback;
    const label = `${phase ?? "progress"} ${Math.round(progress * 100)} %`;
    return <span class="progress"><Meter part={progress} label={label} /> {label}</span>;
  }
  const text = task.state === "PENDING" ? task.reason?.text : task.end_reason?.text;
  const tries = (task.attempts?.at(-1)?.number ?? 0) > 1 ? `attempt ${task.attempts?.at(-1)?.number}` : "";
  const whole = [task.cancel_requested ? "told to stop" : "", tries, text ?? ""].filter(Boolean).join("; ");
  return <span title={whole}>{whole}</span>;
}
