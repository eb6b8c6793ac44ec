/** Four figures above every view, with a line of how they came about. */

import { h, replace, svg } from "./dom.js";
import * as format from "./format.js";

/** @typedef {import("./live/feed.js").LiveFeed} LiveFeed */
/** @typedef {import("./live/feed.js").LiveState} LiveState */
/** @typedef {import("./live/feed.js").SeriesName} SeriesName */

/** @type {{label: string, names: SeriesName[], text: (value: number | null) => string}[]} */
const TILES = [
  { label: "Requests/s", names: ["requests"], text: format.number },
  { label: "Latency p95", names: ["p95"], text: format.seconds },
  { label: "From the cache", names: ["l1", "redis", "coalesced"], text: format.percent },
  { label: "Server errors/s", names: ["errors", "refused"], text: format.number },
];
const WIDTH = 110;
const HEIGHT = 28;

/**
 * @param {HTMLElement} root
 * @param {LiveFeed} feed
 */
export function showStrip(root, feed) {
  const tiles = TILES.map(({ label, names, text }) => {
    const value = h("span", { class: "value" }, format.UNKNOWN);
    const line = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    root.append(h("a", { class: "tile", href: "#/live" }, h("span", { class: "label" }, label), value, line));
    return { names, text, value, line };
  });
  feed.subscribe((state) => {
    for (const { names, text, value, line } of tiles) {
      replace(value, state.status === "live" ? text(sum(names.map((name) => state.now[name]))) : format.UNKNOWN);
      replace(line, ...pieces(state, names).map((points) => svg("polyline", { points })));
    }
  });
}

/** Add what is known; null where nothing is. @param {(number | null)[]} values */
function sum(values) {
  const found = values.filter((value) => value !== null && value !== undefined);
  return found.length ? found.reduce((total, value) => total + value, 0) : null;
}

/**
 * Lines through what *Live* shows, broken where nothing is known.
 *
 * @param {LiveState} state
 * @param {SeriesName[]} names
 */
function pieces({ history, at, range }, names) {
  const { times, values } = history;
  const end = at ?? Date.now() / 1000;
  const totals = times.map((_, index) => sum(names.map((name) => values[name]?.[index] ?? null)));
  const top = Math.max(...totals.map((total) => total ?? 0), Number.MIN_VALUE);
  /** @type {string[][]} */
  const lines = [[]];
  totals.forEach((total, index) => {
    const x = WIDTH * (1 - (end - times[index]) / range);
    if (total === null) lines.push([]);
    else if (x >= 0)
      lines[lines.length - 1].push(`${x.toFixed(1)},${(HEIGHT - 2 - (total / top) * (HEIGHT - 4)).toFixed(1)}`);
  });
  return lines.filter((line) => line.length > 1).map((line) => line.join(" "));
}
