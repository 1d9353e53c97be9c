// Requests to the host. Failures come as problems with words for people; the token stays in this tab.

import type { Problem } from "./core/wire";

const TOKEN_KEY = "pointsman.token";

export function token(): string {
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

export function setToken(value: string): void {
  if (value === "") sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, value);
}

export class RequestFailed extends Error {
  constructor(readonly status: number, readonly problem: Partial<Problem>, what: string) {
    super([problem.detail ?? what, problem.remedy].filter(Boolean).join("; "));
  }
}

let onRefused: () => void = () => undefined;

/** Called whenever the host asks for another token. */
export function whenRefused(call: () => void): void {
  onRefused = call;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request("GET", path, { signal });
  return (await response.json()) as T;
}

/** Absent routes are those of a host of another version: there is nothing to show. */
export async function getIfThere<T>(path: string, signal?: AbortSignal): Promise<T | undefined> {
  try {
    return await get<T>(path, signal);
  } catch (error) {
    if (error instanceof RequestFailed && error.status === 404) return undefined;
    throw error;
  }
}

export async function send(method: "POST" | "PUT", path: string, body: unknown = {}): Promise<void> {
  await request(method, path, { body: JSON.stringify(body), type: "application/json" });
}

interface Options { body?: string; type?: string; signal?: AbortSignal }

export async function request(method: string, path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  if (token() !== "") headers["Authorization"] = `Bearer ${token()}`;
  if (options.type !== undefined) headers["Content-Type"] = options.type;
  let response: Response;
  try {
    response = await fetch(path, {
      method, headers, body: options.body, signal: options.signal, cache: "no-store", credentials: "omit",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new RequestFailed(0, { detail: "the host cannot be reached" }, path);
  }
  if (response.ok) return response;
  if (response.status === 401) onRefused();
  throw new RequestFailed(response.status, await problemOf(response), `${method} ${path}: ${response.status}`);
}

async function problemOf(response: Response): Promise<Partial<Problem>> {
  try {
    return (await response.json()) as Partial<Problem>;
  } catch {
    return {};
  }
}

/** Whether a plain request is refused for its token. */
export async function isRefused(): Promise<boolean> {
  const headers: Record<string, string> = token() === "" ? {} : { Authorization: `Bearer ${token()}` };
  try {
    const response = await fetch("/v1/queues", { headers, cache: "no-store", credentials: "omit" });
    return response.status === 401;
  } catch {
    return false;
  }
}

/** The stream's address; what a browser cannot send as a header goes as subprotocols. */
export function openStream(after: number): WebSocket {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const resume = after > 0 ? `?after=${after}` : "";
  const protocols = ["pointsman.v1"];
  if (token() !== "") protocols.push(`bearer.${base64url(token())}`);
  return new WebSocket(`${scheme}//${location.host}/v1/events${resume}`, protocols);
}

function base64url(text: string): string {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
