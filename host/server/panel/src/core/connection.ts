// Holds the event stream: notices at once when it is gone, comes back by itself, and resumes by number.

import type { Message } from "./wire";

/** The host sends a frame at least every 5 s. */
const SILENCE_MS = 12_000;
const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 10_000;
const REFUSED = 1008;

export type Link =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "lost"; since: number; retryAt: number; why: string }
  | { state: "refused" };

export interface Socket {
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent) => unknown) | null;
  onclose: ((event: CloseEvent) => unknown) | null;
  onerror: ((event: Event) => unknown) | null;
  close(): void;
}

/** What the connection needs of the world. */
export interface Surroundings {
  open(after: number): Socket;
  /** Asks the host by a plain request whether it wants another token. */
  isRefused(): Promise<boolean>;
  now(): number;
  random(): number;
  setTimer(call: () => void, ms: number): number;
  clearTimer(timer: number): void;
  lastSeen(): number;
  onLink(link: Link): void;
  onMessages(messages: Message[]): void;
}

export class Connection {
  private socket: Socket | undefined;
  private timer = 0;
  private nFailed = 0;
  private lostSince: number | undefined;

  constructor(private readonly world: Surroundings) {}

  /** Also called when there is reason to hope: the network is back, the page is looked at, a token is given. */
  connectNow(): void {
    if (this.socket !== undefined) return;
    this.nFailed = 0;
    this.connect();
  }

  /** Gives up the connection in use, for example since the token is another one. */
  reconnect(): void {
    this.drop();
    this.connectNow();
  }

  /** The browser says that there is no network. */
  noteOffline(): void {
    if (this.socket !== undefined) this.lose("the browser is offline");
  }

  private connect(): void {
    this.world.clearTimer(this.timer);
    if (this.lostSince === undefined) this.world.onLink({ state: "connecting" });
    const socket = this.world.open(this.world.lastSeen());
    this.socket = socket;
    this.watch(socket);
    // What an earlier socket still says is of no interest.
    const whileCurrent = (act: () => void) => () => {
      if (this.socket === socket) act();
    };
    socket.onopen = whileCurrent(() => this.watch(socket));
    socket.onmessage = (event) => {
      if (this.socket === socket) this.take(socket, event.data);
    };
    socket.onerror = whileCurrent(() => this.lose("the connection failed"));
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      if (event.code === REFUSED) this.refuse();
      else this.lose(event.reason || "the host closed the connection");
    };
  }

  private take(socket: Socket, data: unknown): void {
    let messages: Message[];
    try {
      messages = JSON.parse(String(data)) as Message[];
    } catch {
      this.lose("the host sent something that is no JSON");
      return;
    }
    this.watch(socket);
    this.nFailed = 0;
    this.lostSince = undefined;
    this.world.onLink({ state: "live" });
    if (messages.length > 0) this.world.onMessages(messages);
  }

  private watch(socket: Socket): void {
    this.world.clearTimer(this.timer);
    this.timer = this.world.setTimer(() => {
      if (this.socket === socket) this.lose("the host was silent");
    }, SILENCE_MS);
  }

  private lose(why: string): void {
    this.drop();
    const now = this.world.now();
    this.lostSince ??= now;
    const longest = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.nFailed);
    const wait = BACKOFF_MIN_MS / 2 + (longest - BACKOFF_MIN_MS / 2) * this.world.random();
    this.nFailed += 1;
    this.world.onLink({ state: "lost", since: this.lostSince, retryAt: now + wait, why });
    this.timer = this.world.setTimer(() => this.connect(), wait);
    this.askWhetherRefused();
  }

  /** A browser does not tell why a stream could not be opened. */
  private askWhetherRefused(): void {
    void this.world.isRefused().then((refused) => {
      if (refused && this.lostSince !== undefined) this.refuse();
    });
  }

  private refuse(): void {
    this.drop();
    this.lostSince ??= this.world.now();
    this.world.onLink({ state: "refused" });
  }

  private drop(): void {
    this.world.clearTimer(this.timer);
    const socket = this.socket;
    this.socket = undefined;
    if (socket === undefined) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }
}
