// The graph of a job: tasks by state, dependencies, and the critical path. Laid out once per shape;
// changes of state only change how nodes look.

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { columns, curve, type Edge, type Layout, type Node, type Size } from "../core/columns";
import { count, plural } from "../core/format";
import { layered } from "../core/layered";
import { taskLink } from "../core/route";
import { sharedPrefix, shorten } from "../core/text";
import type { CriticalPath, Task, TaskState } from "../core/wire";
import { memo } from "../parts/memo";
import { glyph, word } from "../parts/marks";
import { Section } from "../parts/notes";

/** Larger graphs are drawn in plain columns. */
const LAYERED_MAX = 500;
const LABEL_CHARS = 19;
const NODE: Size = { width: 184, height: 24, gapX: 44, gapY: 8 };
const SMALL: Size = { width: 184, height: 24, gapX: 90, gapY: 4 };
const MARGIN = 8;
/** Below this, labels cannot be read and are left out. */
const LABEL_SCALE = 0.42;
const SCALE_MIN = 0.03;
const SCALE_MAX = 2;
/** A graph that would be smaller, or lower, is scrolled. */
const FIT_MIN = 0.16;
const FLAT_PX = 180;

interface GraphProps {
  tasks: ReadonlyMap<string, Task>;
  /** Another number whenever the tasks changed: they are changed in place. */
  tick: number;
  path?: CriticalPath;
}

export function JobGraph({ tasks, tick, path }: GraphProps) {
  const shape = useShape(tasks);
  const onPath = useMemo(() => pathOf(path), [path]);
  if (tasks.size === 0) return null;
  const nEdges = shape.nodes.reduce((sum, node) => sum + node.before.length, 0);
  if (nEdges === 0) {
    return <Section title="Graph"><p class="faint">{plural(tasks.size, "task", "tasks")}, none of which depends on another.</p></Section>;
  }
  return <Drawing shape={shape} tasks={tasks} tick={tick} onPath={onPath} />;
}

interface Shape { key: string; nodes: Node[]; labels: Map<string, string>; nHidden: number }

/** What the layout depends on; the same object while nothing of it changes. */
function useShape(tasks: ReadonlyMap<string, Task>): Shape {
  const last = useRef<Shape | undefined>(undefined);
  // Dependencies never change, so tasks that come or go tell of every change.
  const ids = [...tasks.keys()];
  const key = ids.sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))).join(" ");
  if (last.current?.key === key) return last.current;
  const nodes = ids.map((id) => ({ id, before: (tasks.get(id)?.dependencies ?? []).map((it) => it.id).filter((it) => tasks.has(it)) }));
  const names = ids.map((id) => tasks.get(id)?.name ?? id);
  const prefix = sharedPrefix(names);
  const labels = new Map(ids.map((id, i) => [id, shorten(names[i].slice(prefix.length), LABEL_CHARS)]));
  let nHidden = 0;
  for (const task of tasks.values()) nHidden += Math.max(0, task.n_dependencies - (task.dependencies ?? []).length);
  last.current = { key, nodes, labels, nHidden };
  return last.current;
}

interface OnPath { ids: Set<string>; steps: Set<string> }

function pathOf(path: CriticalPath | undefined): OnPath {
  const ids = (path?.tasks ?? []).filter((task) => task.is_on_path).map((task) => task.id);
  return { ids: new Set(ids), steps: new Set(ids.slice(1).map((id, i) => `${ids[i]} ${id}`)) };
}

interface DrawingProps { shape: Shape; tasks: ReadonlyMap<string, Task>; tick: number; onPath: OnPath }

function Drawing({ shape, tasks, onPath }: DrawingProps) {
  const isLayered = shape.nodes.length <= LAYERED_MAX;
  const layout = useMemo(() => (isLayered ? layered(shape.nodes, NODE) : columns(shape.nodes, SMALL)), [shape]);
  const box = useRef<HTMLDivElement>(null);
  const [scale, setScale] = useScale(box, layout);
  usePan(box, setScale);
  const [width, height] = [layout.width + 2 * MARGIN, layout.height + 2 * MARGIN];
  const zoom = (factor: number) => setScale((it) => clamp(it * factor));
  return (
    <Section
      title="Graph"
      aside={
        <span class="tools">
          <span class="faint legend-path"><svg class="key" viewBox="0 0 18 6" aria-hidden="true"><path class="edge is-on-path" d="M1 3h16" /></svg> critical path</span>
          <button type="button" onClick={() => zoom(1 / 1.4)} aria-label="Smaller">−</button>
          <button type="button" onClick={() => zoom(1.4)} aria-label="Larger">+</button>
          <button type="button" onClick={() => setScale(fit(box.current, layout))}>Fit</button>
          <button type="button" onClick={() => setScale(1)}>1:1</button>
        </span>
      }
    >
      <div class="graph" data-testid="graph" ref={box} tabIndex={0} role="group" aria-label="Graph of the job; the table below lists the same tasks">
        <svg
          width={width * scale} height={height * scale} viewBox={`${-MARGIN} ${-MARGIN} ${width} ${height}`}
          class={scale < LABEL_SCALE ? "is-small" : undefined}
        >
          <Edges edges={layout.edges} onPath={onPath} />
          {shape.nodes.map((node) => {
            const at = layout.at.get(node.id);
            const task = tasks.get(node.id);
            return at && task && (
              <NodeBox
                key={node.id} id={node.id} x={at.x} y={at.y} state={task.state} name={task.name}
                label={shape.labels.get(node.id) ?? ""} isOnPath={onPath.ids.has(node.id)} isLabelled={scale >= LABEL_SCALE}
              />
            );
          })}
        </svg>
      </div>
      {!isLayered && <p class="faint">{count(shape.nodes.length)} tasks: drawn in columns by depth.</p>}
      {shape.nHidden > 0 && <p class="faint">{plural(shape.nHidden, "dependency is", "dependencies are")} not drawn: rows list the first 100.</p>}
    </Section>
  );
}

const Edges = memo(function Edges({ edges, onPath }: { edges: Edge[]; onPath: OnPath }) {
  const isStep = (edge: Edge) => onPath.steps.has(`${edge.from} ${edge.to}`);
  const plain = edges.filter((edge) => !isStep(edge)).map((edge) => curve(edge.points)).join("");
  const marked = edges.filter(isStep).map((edge) => curve(edge.points)).join("");
  return (
    <g>
      <path class="edge" d={plain} />
      <path class="edge is-on-path" d={marked} />
    </g>
  );
});

interface NodeProps {
  id: string; x: number; y: number; state: TaskState; name: string; label: string; isOnPath: boolean; isLabelled: boolean;
}

const NodeBox = memo(function NodeBox({ id, x, y, state, name, label, isOnPath, isLabelled }: NodeProps) {
  const [left, top] = [x - NODE.width / 2, y - NODE.height / 2];
  return (
    <a href={taskLink(id)} tabIndex={-1} class={`node state-${state}${isOnPath ? " is-on-path" : ""}`} data-task={id}>
      <title>{`${id} ${name}: ${word(state)}${isOnPath ? ", on the critical path" : ""}`}</title>
      <rect x={left} y={top} width={NODE.width} height={NODE.height} rx="4" />
      {isLabelled && <path class="node-glyph" d={glyph(state)} transform={`translate(${left + 6} ${top + 6})`} />}
      {isLabelled && <text x={left + 23} y={y + 4}>{label}</text>}
    </a>
  );
});

function clamp(scale: number): number {
  return Math.max(SCALE_MIN, Math.min(SCALE_MAX, scale));
}

/** So that all of it is in sight, or, of a long and flat one, so much that it can be told apart. */
function fit(box: HTMLElement | null, layout: Layout): number {
  if (box === null) return 1;
  const across = (box.clientWidth - 4) / (layout.width + 2 * MARGIN);
  const down = (box.clientHeight - 4) / (layout.height + 2 * MARGIN);
  const flat = Math.min(1, FLAT_PX / layout.height);
  return clamp(Math.max(FIT_MIN, flat, Math.min(1, across, down)));
}

function useScale(box: { current: HTMLElement | null }, layout: Layout) {
  const [scale, setScale] = useState(1);
  const before = useRef(scale);
  useLayoutEffect(() => setScale(fit(box.current, layout)), [layout]);
  // What was in the middle stays there.
  useLayoutEffect(() => {
    const element = box.current;
    const ratio = scale / before.current;
    before.current = scale;
    if (element === null || ratio === 1) return;
    const [halfX, halfY] = [element.clientWidth / 2, element.clientHeight / 2];
    element.scrollTo((element.scrollLeft + halfX) * ratio - halfX, (element.scrollTop + halfY) * ratio - halfY);
  }, [scale]);
  return [scale, setScale] as const;
}

/** Dragging with the mouse moves the graph, the wheel with Ctrl scales it. */
function usePan(box: { current: HTMLElement | null }, setScale: (change: (scale: number) => number) => void): void {
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    let from: { x: number; y: number; left: number; top: number; hasMoved: boolean } | undefined;
    const down = (event: PointerEvent) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, left: element.scrollLeft, top: element.scrollTop, hasMoved: false };
    };
    const move = (event: PointerEvent) => {
      if (from === undefined) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      if (Math.abs(dx) + Math.abs(dy) > 4) from.hasMoved = true;
      if (from.hasMoved) element.scrollTo(from.left - dx, from.top - dy);
    };
    let wasDragged = false;
    const up = () => {
      wasDragged = from?.hasMoved ?? false;
      from = undefined;
    };
    const click = (event: MouseEvent) => {
      if (wasDragged) event.preventDefault();
      wasDragged = false;
    };
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      setScale((it) => clamp(it * Math.exp(-event.deltaY / 300)));
    };
    const noDrag = (event: Event) => event.preventDefault();
    element.addEventListener("pointerdown", down);
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up);
    element.addEventListener("click", click);
    element.addEventListener("wheel", wheel, { passive: false });
    element.addEventListener("dragstart", noDrag);
    return () => {
      element.removeEventListener("pointerdown", down);
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", up);
      element.removeEventListener("click", click);
      element.removeEventListener("wheel", wheel);
      element.removeEventListener("dragstart", noDrag);
    };
  }, []);
}
