// The licences of what is bundled, as one comment: they want to go where the code goes.

import { readFile, readdir } from "node:fs/promises";

/** `inputs` as esbuild's metafile has them. */
export async function licences(here, inputs) {
  const folders = new Set(
    Object.keys(inputs).flatMap((path) => path.match(/^node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []),
  );
  const texts = [];
  for (const folder of [...folders].sort()) {
    const { name, version } = JSON.parse(await readFile(`${here}${folder}/package.json`, "utf8"));
    const file = (await readdir(`${here}${folder}`)).find((it) => /^licen[cs]e/i.test(it));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    const text = await readFile(`${here}${folder}/${file}`, "utf8");
    texts.push(`${name} ${version}\n\n${text.trim().replaceAll("*/", "* /")}`);
  }
  return `/*! This file contains:\n\n${texts.join("\n\n---\n\n")}\n*/`;
}
