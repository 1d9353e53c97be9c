// Every text that is rendered passes here, so that no view can forget it.

import { options } from "preact";
import { visible } from "./core/text";

const TEXT_ATTRIBUTES = ["title", "aria-label", "placeholder"];

export function cleanAllText(): void {
  const before = options.vnode;
  options.vnode = (vnode) => {
    // Text is a vnode without a type whose props are the text itself.
    const it = vnode as { type: unknown; props: unknown };
    if (it.type === null && typeof it.props === "string") it.props = visible(it.props);
    else if (typeof it.type === "string") cleanAttributes(it.props as Record<string, unknown>);
    before?.(vnode);
  };
}

function cleanAttributes(props: Record<string, unknown>): void {
  for (const name of TEXT_ATTRIBUTES) {
    const value = props[name];
    if (typeof value === "string") props[name] = visible(value);
  }
}
