// A browser that looks at a panel, and fails the test for whatever a reader of its console would not like.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--js-flags=--expose-gc",
];
export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 390, height: 844 };
const SHOTS = process.env.SCREENSHOTS ?? new URL("../../../../target/panel-screenshots/", import.meta.url).pathname;

export class Browser {
  static async start() {
    const executablePath = PLACES.find((place) => place && existsSync(place));
    assert.ok(executablePath, "no Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM to its path");
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), "pointsman-chromium-"));
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath, headless: true, args: ARGS, viewport: WIDE, colorScheme: "light", reducedMotion: "reduce",
    });
    browser.complaints = [];
    mkdirSync(SHOTS, { recursive: true });
    return browser;
  }

  async open(url) {
    const page = await this.context.newPage();
    const complain = (what) => this.complaints.push(what);
    page.on("pageerror", (error) => complain(`error: ${error.stack ?? error}`));
    page.on("dialog", (dialog) => {
      complain(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      // That the host is away is the browser's own message, once for each try.
      const isAway = /net::ERR_|WebSocket connection to|status of 5\d\d/.test(message.text());
      if (message.type() === "error" && !isAway) complain(`console: ${message.text()}`);
    });
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await page.goto(url);
    return page;
  }

  /** Fails if a page complained since the last time. */
  checkQuiet() {
    assert.deepEqual(this.complaints.splice(0), []);
  }

  async stop() {
    await this.context.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}

/** A picture to look at, kept with the build. */
export async function shoot(page, name) {
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

export const at = (page, testid) => page.getByTestId(testid);

/** Nothing sticks out at the side. */
export async function checkWidth(page, what) {
  const [wide, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= shown, `${what} is ${wide} px wide where ${shown} are shown`);
}
