/** What a burst has shown: percentiles, a histogram, cache states and statuses. */

import { h } from "../dom.js";
import * as format from "../format.js";
import { barPlot } from "../plot.js";
import { cacheText } from "../try/answer.js";
import { histogram, quantile } from "./burst.js";

const QUANTILES = /** @type {[string, number][]} */ ([
  ["p50", 0.5],
  ["p90", 0.9],
  ["p95", 0.95],
  ["p99", 0.99],
  ["slowest", 1],
]);

/** @param {import("./burst.js").Tally} tally */
export function results(tally) {
  const answered = tally.latencies.length;
  const rate = tally.seconds && answered ? answered / tally.seconds : null;
  const facts = [
    fact("predictions/s", format.number(rate)),
    ...QUANTILES.map(([name, share]) => fact(name, format.seconds(quantile(tally.latencies, share)))),
  ];
  const bins = histogram(tally.latencies);
  const held = tally.statuses["429"];
  return [
    h("div", { class: "facts" }, ...facts),
    held ? h("p", { class: "note warn" }, heldBack(held, tally.retryAfterSeconds)) : null,
    bins.length
      ? h(
          "div",
          {},
          h("h3", {}, `Latency of ${format.plural(answered, "prediction")}, as this browser saw it`),
          barPlot(bins, "requests"),
        )
      : null,
    h("div", { class: "columns" }, counts("Status", tally.statuses), counts("Cache", tally.cacheStates, cacheText)),
  ];
}

/** @param {string} name @param {string} text */
function fact(name, text) {
  return h("div", {}, h("strong", {}, text), h("span", { class: "muted" }, name));
}

/** @param {number} count @param {number | null} wait seconds */
function heldBack(count, wait) {
  const again = wait === null ? "" : ` There is a place again in ${wait} s.`;
  return `${format.plural(count, "request")} held back by the rate limit of Nginx.${again} To measure, start the stack without limits for this machine: ./ops/stack down, then ./ops/stack up --profile bench`;
}

/**
 * @param {string} title
 * @param {Record<string, number>} counted
 * @param {(name: string) => string} [meaning]
 */
function counts(title, counted, meaning = String) {
  const rows = Object.entries(counted)
    .sort()
    .map(([name, count]) =>
      h("tr", {}, h("th", { scope: "row" }, meaning(name)), h("td", { class: "number" }, count.toLocaleString("en"))),
    );
  const head = h(
    "thead",
    {},
    h("tr", {}, h("th", { scope: "col" }, title), h("th", { scope: "col", class: "number" }, "Requests")),
  );
  return h("table", {}, head, h("tbody", {}, ...rows));
}
