// Addresses within the page, like `#/tasks?state=FAILED` and `#/jobs/j1`.

import { withPrefix } from "./filter";

export type ViewName = "tasks" | "jobs" | "workers" | "policies" | "activity";
export const VIEWS: readonly ViewName[] = ["tasks", "jobs", "workers", "policies", "activity"];

export interface Route {
  view: ViewName;
  /** Of one task or job. */
  id?: string;
  query: URLSearchParams;
}

export function readRoute(hash: string): Route {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [name, id] = path.split("/");
  const view = VIEWS.find((it) => it === name) ?? "tasks";
  const route: Route = { view, query: new URLSearchParams(query) };
  const prefix = view === "jobs" ? "j" : "t";
  if ((view === "tasks" || view === "jobs") && id) route.id = withPrefix(decoded(id), prefix);
  return route;
}

export function link(view: ViewName, id?: string, query?: URLSearchParams): string {
  const path = id === undefined ? view : `${view}/${encodeURIComponent(id)}`;
  const asked = query === undefined || query.size === 0 ? "" : `?${query.toString()}`;
  return `#/${path}${asked}`;
}

export function taskLink(id: string): string {
  return link("tasks", id);
}

export function jobLink(id: string): string {
  return link("jobs", id);
}

export function workerLink(id: string): string {
  return link("workers", undefined, new URLSearchParams({ worker: id }));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
