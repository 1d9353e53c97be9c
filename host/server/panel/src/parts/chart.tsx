// A small chart of what came in, and of what the history had of the hour before.

import uPlot from "uplot";
import { useEffect, useRef } from "preact/hooks";
import type { Ring } from "../core/ring";
import { colour, themeTick } from "../theme";

export interface Line {
  /** Fixed words of this program. */
  label: string;
  /** A custom property, like `--line-1`. */
  colour: string;
  /** Index in the ring. */
  series: number;
  dash?: number[];
}

interface ChartProps {
  ring: Ring;
  lines: readonly Line[];
  height: number;
  /** The vertical axis goes from 0 to this at least, or with `isFixed` exactly. */
  top: number;
  isFixed?: boolean;
  format: (value: number) => string;
  /** Counted up when the ring has news. */
  tick: number;
  label: string;
}

export function Chart(props: ChartProps) {
  const { ring, lines, height, format, label } = props;
  const now = lines.map((line) => lastOf(ring, line, format));
  return (
    <figure class="chart" aria-label={`${label}: ${now.join(", ")}`}>
      <figcaption>
        {lines.map((line, at) => (
          <span key={line.label}>
            <svg class="key" viewBox="0 0 18 6" aria-hidden="true">
              <path d="M1 3h16" style={{ stroke: `var(${line.colour})`, strokeDasharray: line.dash?.join(" ") ?? "none" }} />
            </svg>
            {now[at]}
          </span>
        ))}
      </figcaption>
      {ring.times.length < 2
        ? <p class="chart-box faint" style={{ height: `${height}px` }}>The line begins with the next measurement.</p>
        : <Plot {...props} />}
    </figure>
  );
}

function Plot(props: ChartProps) {
  const { ring, lines, height, tick } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const theme = themeTick.value;

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = new uPlot(options(element.clientWidth, props), rows(ring, lines), element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [ring, height, theme]);

  useEffect(() => {
    plot.current?.setData(rows(ring, lines));
  }, [tick]);

  return <div ref={box} class="chart-box" style={{ height: `${height}px` }} aria-hidden="true" />;
}

function lastOf(ring: Ring, line: Line, format: (value: number) => string): string {
  const last = ring.values[line.series].at(-1);
  return `${line.label} ${last === undefined || last === null ? "–" : format(last)}`;
}

function rows(ring: Ring, lines: readonly Line[]): uPlot.AlignedData {
  return [ring.times, ...lines.map((line) => ring.values[line.series])] as uPlot.AlignedData;
}

/** A chart of a few points is not stretched. */
const SPAN_MIN_S = 30;

function options(width: number, { height, lines, top, isFixed, format }: ChartProps): uPlot.Options {
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: Math.max(width, 50),
    height,
    padding: [6, 4, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: (_, low, high) => [Math.min(low, high - SPAN_MIN_S), high] },
      y: { range: (_, __, high) => [0, isFixed ? top : Math.max((high ?? 0) * 1.1, top)] },
    },
    axes: [
      { ...axis, size: 20, space: 70, values: "{HH}:{mm}:{ss}" as unknown as uPlot.Axis.Values },
      { ...axis, size: 52, space: 26, values: (_, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label, stroke: colour(line.colour), width: 1.5, dash: line.dash, points: { show: false },
      })),
    ],
  };
}
