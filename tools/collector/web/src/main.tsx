// The page: one document, whose places are behind `#`.

import { render } from "preact";
import { pressed } from "./keys";
import { listen } from "./live";
import { Incident } from "./pages/incident";
import { Incidents } from "./pages/incidents";
import { Overview } from "./pages/overview";
import { Sensor } from "./pages/sensor";
import { Sensors } from "./pages/sensors";
import { Settings } from "./pages/settings";
import { Help } from "./parts/help";
import { Shell } from "./parts/shell";
import { follow, route } from "./route";
import { keepUpToDate } from "./state";
import { markTheme, storedTheme } from "./theme-name";

const TITLES = { overview: "Overview", incidents: "Incidents", sensors: "Sensors", settings: "Settings" };

function Place() {
  const { page, item } = route.value;
  document.title = `${item !== null && page !== "settings" ? `${item} – ` : ""}${TITLES[page]} – Sentinel`;
  if (page === "incidents") return item === null ? <Incidents /> : <Incident key={item} id={item} />;
  if (page === "sensors") return item === null ? <Sensors /> : <Sensor key={item} name={item} />;
  return page === "settings" ? <Settings /> : <Overview />;
}

markTheme(storedTheme());
const root = document.getElementById("root");
if (root !== null) {
  root.replaceChildren();
  render(<><Shell><Place /></Shell><Help /></>, root);
}
addEventListener("hashchange", follow);
addEventListener("keydown", pressed);
listen();
keepUpToDate();
