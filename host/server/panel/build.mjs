// Bundles the panel into dist/, under fixed names that the host embeds.

import { build } from "esbuild";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { licences } from "./licences.mjs";

const here = new URL(".", import.meta.url).pathname;
// Written over, never removed: a host that is being built takes whole files.
await mkdir(`${here}dist`, { recursive: true });
const { metafile, outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { panel: "src/main.tsx" },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  // The whole licences follow at the end.
  legalComments: "none",
  charset: "utf8",
  metafile: true,
  write: false,
  logLevel: "warning",
});
for (const file of outputFiles) {
  const isScript = file.path.endsWith(".js");
  await writeFile(file.path, isScript ? `${file.text}${await licences(here, metafile.inputs)}\n` : file.contents);
}
await cp(`${here}src/index.html`, `${here}dist/index.html`);
await cp(`${here}src/favicon.svg`, `${here}dist/favicon.svg`);
