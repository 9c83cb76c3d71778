// Every page at two widths in light and dark: axe finds nothing, nothing is wider than the window.

import { expect } from "@playwright/test";
import { accessible, EMPTY, fits, FULL, PLACES, settled, test } from "./support";

// Without PAGE_ALL=1 each width has one of the colours.
const ALL = process.env.PAGE_ALL === "1";
const SHOTS = process.env.SHOTS; // folder for pictures, to look at

for (const [filling, address] of [["full", FULL], ["empty", EMPTY]] as const) {
  for (const [name, place] of PLACES) {
    test(`${name}, ${filling}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
      await page.goto(`${address}/${place}`);
      for (const width of [390, 1280]) {
        await page.setViewportSize({ width, height: 900 });
        for (const colorScheme of ["light", "dark"] as const) {
          if (!ALL && (width === 390) !== (colorScheme === "dark")) continue;
          await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
          await settled(page);
          await expect(page.locator("h1").first()).toBeAttached();
          if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${filling}-${width}-${colorScheme}.png`, fullPage: true });
          await fits(page);
          await accessible(page);
        }
      }
    });
  }
}
