// Colours: those of the system, or the ones chosen for this browser.

import { signal } from "@preact/signals";
import { markTheme, storedTheme, storeTheme, type Theme } from "./theme-name";

export const theme = signal<Theme>(storedTheme());

export function setTheme(name: Theme): void {
  theme.value = name;
  markTheme(name);
  storeTheme(name);
}
