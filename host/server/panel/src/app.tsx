// The frame around all views: where one is, whether the host is heard, and the way from view to view.

import { useEffect, useErrorBoundary, useRef } from "preact/hooks";
import { count, plural } from "./core/format";
import { openAlerts } from "./core/news";
import { VIEWS, link, type Route, type ViewName } from "./core/route";
import { visible } from "./core/text";
import { isLoaded, linkState, route, store, tasksTick, workersTick } from "./live";
import { news } from "./news";
import { ConnectionStatus, LostBanner } from "./parts/connection";
import { Waiting } from "./parts/notes";
import { TokenForm } from "./parts/token_form";
import { nextTheme, theme } from "./theme";
import { ActivityView } from "./views/activity";
import { JobView } from "./views/job";
import { JobsView } from "./views/jobs";
import { PoliciesView } from "./views/policies";
import { TaskView } from "./views/task";
import { TasksView } from "./views/tasks";
import { WorkersView } from "./views/workers";

const TITLES: Record<ViewName, string> = {
  tasks: "Tasks", jobs: "Jobs", workers: "Workers", policies: "Policies", activity: "Activity",
};

export function App() {
  const here = route.value;
  const state = linkState.value.state;
  const main = useRef<HTMLElement>(null);
  const place = `${here.view}/${here.id ?? ""}`;
  const isFirst = useRef(true);
  useEffect(() => {
    // The view that had the focus is gone.
    if (!isFirst.current) main.current?.focus({ preventScroll: true });
    isFirst.current = false;
    document.title = visible(`${here.id ?? TITLES[here.view]} · Pointsman`);
    main.current?.scrollTo(0, 0);
  }, [place]);
  const isStale = isLoaded.value && state !== "live";
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        main.current?.focus();
      }}>Skip to content</a>
      <header class="top">
        <a class="brand" href="#/tasks">Pointsman</a>
        <nav aria-label="Views">
          {VIEWS.map((view) => (
            <a
              key={view} href={link(view)} data-testid={`nav-${view}`}
              aria-current={view === here.view ? "page" : undefined}
            >
              {TITLES[view]}
            </a>
          ))}
        </nav>
        <Totals />
        <ConnectionStatus />
        <button type="button" class="theme" onClick={nextTheme} aria-label={`Colours: ${theme.value}. Change`}>
          {theme.value === "system" ? "Auto" : theme.value === "dark" ? "Dark" : "Light"}
        </button>
      </header>
      <LostBanner />
      <main id="main" tabIndex={-1} ref={main} class={isStale ? "is-stale" : undefined}>
        {state === "refused" ? <TokenForm /> : <Content key={place} here={here} />}
      </main>
    </>
  );
}

function Content({ here }: { here: Route }) {
  const [error, reset] = useErrorBoundary();
  if (error !== undefined) {
    return (
      <p class="note is-bad" role="alert">
        This view failed: {String((error as Error).message)}. <button type="button" onClick={reset}>Show it again</button>
      </p>
    );
  }
  if (!isLoaded.value) return <Waiting what="what the host knows" />;
  switch (here.view) {
    case "tasks":
      return here.id === undefined ? <TasksView query={here.query} /> : <TaskView id={here.id} />;
    case "jobs":
      return here.id === undefined ? <JobsView /> : <JobView id={here.id} />;
    case "workers":
      return <WorkersView query={here.query} />;
    case "policies":
      return <PoliciesView />;
    case "activity":
      return <ActivityView query={here.query} />;
  }
}

function Totals() {
  void tasksTick.value;
  void workersTick.value;
  if (!isLoaded.value) return <span class="totals" />;
  const counts = store.counts();
  const workers = [...store.workers.values()];
  const nLive = workers.filter((worker) => worker.state === "live").length;
  const nAlerts = openAlerts(news.value).length;
  const rows: [string, string][] = [
    ["running", count(counts.running + counts.assigned)],
    ["waiting", count(counts.pending)],
    ["failed", count(counts.failed)],
    ["workers live", `${count(nLive)}/${count(workers.length)}`],
  ];
  return (
    <span class="totals">
      {rows.map(([name, value]) => (
        <span key={name}><b class="num">{value}</b> {name}</span>
      ))}
      {nAlerts > 0 && (
        <a class="bad" href={link("activity", undefined, new URLSearchParams({ kind: "alert" }))} data-testid="alerts">
          ! {plural(nAlerts, "alert", "alerts")}
        </a>
      )}
      <span>term <b class="num">{count(store.term)}</b></span>
    </span>
  );
}
