// Whether the host is heard: in the header, and across the page when it is not.

import { clock, clockInFull, span } from "../core/format";
import { connection, linkState, secondTick } from "../live";

export function ConnectionStatus() {
  const link = linkState.value;
  const words = {
    connecting: "Connecting", live: "Live", lost: "Disconnected", refused: "Token needed",
  }[link.state];
  return (
    <span class={`connection is-${link.state}`} role="status" data-testid="connection" data-state={link.state}>
      <svg class="dot" viewBox="0 0 10 10" aria-hidden="true">
        {link.state === "live" ? <circle cx="5" cy="5" r="4" /> : <path d="M2 2l6 6M8 2l-6 6" />}
      </svg>
      {words}
      {link.state === "lost" && (
        <span class="since" title={clockInFull(new Date(link.since))}> since {clock(new Date(link.since), new Date())}</span>
      )}
    </span>
  );
}

export function LostBanner() {
  const link = linkState.value;
  if (link.state !== "lost") return null;
  return (
    <div class="banner">
      <span>
        <b>Disconnected since {clock(new Date(link.since), new Date())}</b>: {link.why}. What is shown is as it was then.
      </span>
      <Countdown retryAt={link.retryAt} />
      <button type="button" onClick={() => connection.reconnect()}>Retry now</button>
    </div>
  );
}

function Countdown({ retryAt }: { retryAt: number }) {
  void secondTick.value;
  const left = retryAt - Date.now();
  return <span class="faint" aria-hidden="true">{left > 0 ? `retrying in ${span(left + 999)}` : "retrying…"}</span>;
}
