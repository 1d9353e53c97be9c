// Bundles the panel into dist/, under fixed names that the host embeds.

import { build } from "esbuild";
import { cp, mkdir, rm } from "node:fs/promises";

const here = new URL(".", import.meta.url).pathname;
await rm(`${here}dist`, { recursive: true, force: true });
await mkdir(`${here}dist`);
await build({
  absWorkingDir: here,
  entryPoints: { panel: "src/main.tsx" },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "eof",
  charset: "utf8",
  logLevel: "warning",
});
await cp(`${here}src/index.html`, `${here}dist/index.html`);
await cp(`${here}src/favicon.svg`, `${here}dist/favicon.svg`);
