/** Charts of the last minutes or hours, and the replicas. */

import { h } from "../dom.js";
import { clock } from "../format.js";
import { Chart } from "../live/chart.js";
import { CHARTS } from "../live/charts.js";
import { Crosshair } from "../live/crosshair.js";
import { replicaTable } from "../live/replicas.js";
import { sourceLine } from "../live/source_line.js";
import { Palette } from "../palette.js";

/** @type {{seconds: 300 | 3600 | 21600, label: string}[]} */
const RANGES = [
  { seconds: 300, label: "5 min" },
  { seconds: 3600, label: "1 h" },
  { seconds: 21600, label: "6 h" },
];

/** @typedef {import("../live/feed.js").LiveFeed} LiveFeed */

/**
 * @param {HTMLElement} root
 * @param {{feed: LiveFeed}} app
 */
export function liveView(root, { feed }) {
  let isShown = false;
  const told = h("p", { class: "unseen", role: "status" });
  root.append(h("header", { class: "row end" }, h("h1", {}, "Live"), rangeChoice(feed)));
  const showSource = sourceLine(root);
  const { charts, crosshair } = chartGrid(root, feed, told);
  const showReplicas = replicaTable(root);
  root.append(told);

  function draw() {
    if (!isShown) return;
    const { state } = feed;
    showSource(state);
    for (const chart of charts) chart.draw(state);
    crosshair.keep(Date.now() / 1000 - state.range);
    showReplicas(state);
  }

  feed.subscribe(draw);
  return {
    shown() {
      isShown = true;
      draw();
    },
    hidden() {
      isShown = false;
    },
  };
}

/** @param {LiveFeed} feed */
function rangeChoice(feed) {
  const buttons = RANGES.map(({ seconds, label }) =>
    h("button", { type: "button", on: { click: () => choose(seconds) } }, label),
  );
  /** @param {300 | 3600 | 21600} seconds */
  function choose(seconds) {
    mark(seconds);
    feed.setRange(seconds);
  }
  /** @param {number} chosen */
  function mark(chosen) {
    RANGES.forEach(({ seconds }, index) => buttons[index].setAttribute("aria-pressed", String(seconds === chosen)));
  }
  mark(feed.state.range);
  return h("div", { class: "row ranges", role: "group", "aria-label": "Range of the charts" }, ...buttons);
}

/**
 * @param {HTMLElement} root
 * @param {LiveFeed} feed
 * @param {HTMLElement} told
 */
function chartGrid(root, feed, told) {
  if (typeof uPlot === "undefined") {
    root.append(
      h(
        "p",
        { class: "note warn" },
        "The library that draws the lines is not installed, so there are only the newest numbers.",
      ),
    );
  }
  const times = () => feed.state.history.times;
  const crosshair = new Crosshair((time, words) => (told.textContent = `${clock(time)}: ${words}`));
  const palette = new Palette(root, () => charts.forEach((chart) => chart.recolour()));
  /** @type {Chart[]} */
  const charts = CHARTS.map((spec) => {
    /** @type {Chart} */
    const chart = new Chart(
      spec,
      palette,
      crosshair.listeners(() => chart, times),
    );
    return chart;
  });
  crosshair.join(charts);
  root.append(h("div", { class: "charts" }, ...charts.map(({ element }) => element)));
  return { charts, crosshair };
}
