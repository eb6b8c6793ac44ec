/** Where the time of one request went: `Server-Timing` (W3C) inside what this browser measured. */

import { h, svg } from "../dom.js";
import * as format from "../format.js";

const WIDTH = 1000;

/** @typedef {{name: string, milliseconds: number, look: string, why: string}} Phase */

const KNOWN = [
  { name: "decode", look: "series-1", why: "reading and checking the body" },
  { name: "cache", look: "series-4", why: "key and look-up" },
  { name: "queue", look: "series-2", why: "waiting for a run" },
  { name: "run", look: "series-3", why: "the model itself" },
];

/** Milliseconds by name. @param {string} header @returns {Record<string, number>} */
export function parseServerTiming(header) {
  const entries = header.split(",").map((entry) => entry.trim().match(/^(\w+);dur=([\d.]+)$/));
  return Object.fromEntries(entries.filter((found) => found !== null).map(([, name, text]) => [name, Number(text)]));
}

/**
 * Two bars: the whole way, and what the server did, which is too short to be seen on the first.
 *
 * @param {string} header `Server-Timing`
 * @param {number} seconds as the browser measured
 * @param {boolean} batch whether many requests were answered by runs of their own
 */
export function timeline(header, seconds, batch) {
  const timing = parseServerTiming(header);
  const server = timing.total ?? 0;
  const inside = KNOWN.map((phase) => ({ ...phase, milliseconds: timing[phase.name] ?? 0 }));
  const rest = server - inside.reduce((sum, phase) => sum + phase.milliseconds, 0);
  inside.push({
    name: "rest",
    look: "rest",
    why: "encoding, headers, the event loop",
    milliseconds: Math.max(0, rest),
  });
  const whole = [
    { name: "server", look: "series-1", why: "", milliseconds: server },
    {
      name: "network",
      look: "rest",
      why: "browser, network and proxies",
      milliseconds: Math.max(0, seconds * 1000 - server),
    },
  ];
  return h(
    "div",
    { class: "view timeline" },
    bar(`Whole request: ${format.seconds(seconds)}`, whole),
    bar(
      `In the server: ${format.seconds(server / 1000)}${batch ? " (queue and run: the longest of any row)" : ""}`,
      inside,
    ),
  );
}

/** @param {string} title @param {Phase[]} phases */
function bar(title, phases) {
  const total = phases.reduce((sum, phase) => sum + phase.milliseconds, 0) || 1;
  let x = 0;
  const pieces = phases.map(({ look, milliseconds }) => {
    const width = (milliseconds / total) * WIDTH;
    const piece = svg("rect", { x: x.toFixed(2), y: 0, width: width.toFixed(2), height: 28, class: look });
    x += width;
    return piece;
  });
  const legend = phases.map(({ name, look, why, milliseconds }) =>
    h(
      "li",
      {},
      h("span", { class: `swatch ${look}`, "aria-hidden": "true" }),
      `${name} ${format.seconds(milliseconds / 1000)}`,
      why && h("span", { class: "muted" }, ` ${why}`),
    ),
  );
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} 28`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...pieces,
  );
  return h("div", { class: "view" }, h("h3", {}, title), picture, h("ul", { class: "phases" }, ...legend));
}
