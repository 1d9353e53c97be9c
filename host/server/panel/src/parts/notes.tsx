// What is said where there is nothing to show yet, or something went wrong.

import type { ComponentChildren } from "preact";
import { link } from "../core/route";

export function Waiting({ what }: { what: string }) {
  return <p class="note" role="status">Loading {what}…</p>;
}

export function Failed({ what, why, onRetry }: { what: string; why: string; onRetry?: () => void }) {
  return (
    <p class="note is-bad" role="alert">
      {what}: {why}{" "}
      {onRetry && <button type="button" onClick={onRetry}>Try again</button>}
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="note is-empty">{children}</div>;
}

interface NotShownProps { what: "job" | "task"; id: string; isMissing: boolean; why?: string; onRetry: () => void }

/** In place of a job or task that is not there, or cannot be had. */
export function NotShown({ what, id, isMissing, why, onRetry }: NotShownProps) {
  if (!isMissing) return <Failed what={`The ${what} cannot be shown`} why={why ?? ""} onRetry={onRetry} />;
  return (
    <Empty>
      <p>There is no {what} {id}. It may have been removed by retention. <a href={link(`${what}s`)}>All {what}s</a></p>
    </Empty>
  );
}

interface SectionProps {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
  testid?: string;
}

export function Section({ title, aside, children, testid }: SectionProps) {
  return (
    <section class="section" data-testid={testid} aria-label={title}>
      <header class="section-head">
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** Pairs of a name and what is known of it; unknown ones are left out. */
export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  const known = rows.filter(([, value]) => value !== undefined && value !== null && value !== false && value !== "");
  return (
    <dl class="facts">
      {known.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
