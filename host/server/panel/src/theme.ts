// Light, dark, or as the system says.

import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEY = "pointsman.theme";
const THEMES: readonly Theme[] = ["system", "light", "dark"];

const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");

export const theme = signal<Theme>(THEMES.find((it) => it === localStorage.getItem(KEY)) ?? "system");
/** Counted up when colours change, for what is drawn on a canvas. */
export const themeTick = signal(0);

export function startTheme(): void {
  systemIsDark.addEventListener("change", show);
  show();
}

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  localStorage.setItem(KEY, theme.value);
  show();
}

function show(): void {
  const isDark = theme.value === "dark" || (theme.value === "system" && systemIsDark.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  themeTick.value += 1;
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
