// Asks for the token that the host wants; it is kept for this tab only.

import { useState } from "preact/hooks";
import { setToken, token } from "../api";
import { connection } from "../live";

export function TokenForm() {
  const [value, setValue] = useState("");
  const wasGiven = token() !== "";
  const submit = (event: Event) => {
    event.preventDefault();
    setToken(value.trim());
    connection.reconnect();
  };
  return (
    <form class="token-form" onSubmit={submit} data-testid="token-form">
      <h1>This host wants a token</h1>
      <p>
        {wasGiven ? "The token that was given is not one of this host. " : ""}
        Tokens stand in the files that the host's configuration names under <code>[auth]</code>; one for reading is
        enough to look. It is kept in this tab until it is closed.
      </p>
      <label>
        Token
        <input
          type="password" autocomplete="off" required value={value} data-testid="token"
          onInput={(event) => setValue(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="is-strong">Connect</button>
    </form>
  );
}
