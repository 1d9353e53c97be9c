// Serves dist/ as the host does, and passes everything else on to a running host:
//   node dev.mjs [port] [host:port]

import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";

const [port = "7401", host = "127.0.0.1:7400"] = process.argv.slice(2);
const dist = new URL("dist/", import.meta.url);
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css", svg: "image/svg+xml" };
const CSP = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
].join("; ");

const server = createServer(async (incoming, outgoing) => {
  const path = new URL(incoming.url, "http://panel").pathname;
  if (path.startsWith("/v1/") || path === "/metrics") return pass(incoming, outgoing);
  const name = path === "/" ? "index.html" : path.slice(1);
  try {
    if (!/^[a-z]+\.(html|js|css|svg)$/.test(name)) throw new Error("no such file");
    const body = await readFile(new URL(name, dist));
    outgoing.writeHead(200, {
      "Content-Type": TYPES[name.split(".")[1]],
      "Content-Security-Policy": CSP,
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": "no-cache",
    });
    outgoing.end(body);
  } catch {
    outgoing.writeHead(404).end("not found\n");
  }
});

function ask(incoming) {
  const [hostname, hostPort] = host.split(":");
  const { origin: _, ...headers } = incoming.headers;
  return request({
    hostname, port: hostPort, method: incoming.method, path: incoming.url, headers: { ...headers, host },
  });
}

function pass(incoming, outgoing) {
  const asked = ask(incoming);
  asked.on("response", (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  asked.on("error", () => outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end());
  outgoing.on("close", () => asked.destroy());
  incoming.pipe(asked);
}

server.on("upgrade", (incoming, socket, head) => {
  const asked = ask(incoming);
  const headersOf = (answer) => answer.rawHeaders.flatMap((it, i, all) => i % 2 ? [] : [`${it}: ${all[i + 1]}`]);
  const begin = (answer) =>
    socket.write([`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`, ...headersOf(answer), "", ""].join("\r\n"));
  asked.on("upgrade", (answer, upstream, first) => {
    begin(answer);
    socket.write(first);
    upstream.write(head);
    upstream.pipe(socket).pipe(upstream);
    upstream.on("error", () => socket.destroy());
    socket.on("close", () => upstream.destroy());
  });
  asked.on("response", (answer) => {
    begin(answer);
    answer.pipe(socket);
  });
  asked.on("error", () => socket.destroy());
  socket.on("error", () => asked.destroy());
  asked.end();
});

server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port} -> ${host}`));
