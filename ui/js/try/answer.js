/** What came back: classes, probabilities or scores, cache state, and where the time went. */

import { h, replace } from "../dom.js";
import * as format from "../format.js";
import { writeJson } from "../json.js";
import { PAGE_ROWS, Pager } from "../pager.js";
import { columns } from "./columns.js";
import { timeline } from "./timeline.js";

/** What each state of `X-Cache` means. */
const CACHE_STATES = /** @type {Record<string, string>} */ ({
  l1: "from the server's memory, not computed",
  redis: "from Redis, not computed",
  coalesced: "shared with an equal request that was under way",
  miss: "computed, and now in the cache",
  bypass: "computed; the cache was neither read nor written",
});

/**
 * One answered row.
 *
 * @typedef {object} Outcome
 * @property {string} model the one that answered, as the answer says; empty where there is none
 * @property {any} prediction
 * @property {string | null} label
 * @property {number[] | null} probabilities
 * @property {any} scores numbers by which the class was chosen and which are no probabilities
 * @property {boolean} cached
 * @property {string} [error] why this member of a batch has none
 */

/** @param {any} body of `POST /predict` @returns {Outcome[]} */
export function outcomes(body) {
  return body.predictions.map((/** @type {any} */ prediction, /** @type {number} */ row) => ({
    model: titleOf(body.model_info),
    prediction,
    label: body.labels?.[row] ?? null,
    probabilities: body.probabilities?.[row] ?? null,
    scores: body.scores?.[row] ?? null,
    cached: body.model_info.cached,
  }));
}

/** @param {any} body of `POST /predict/batch` @returns {Outcome[]} */
export function batchOutcomes(body) {
  const none = { model: "", prediction: null, label: null, probabilities: null, scores: null, cached: false };
  return body.results.map((/** @type {any} */ result) =>
    result.error ? { ...none, error: result.error.detail } : outcomes(result)[0],
  );
}

/** @param {{model_name: string, model_version: string}} model */
function titleOf({ model_name, model_version }) {
  return `${model_name}, version ${model_version}`;
}

/**
 * @param {import("../api.js").Answer} answer
 * @param {Outcome[]} rows
 * @param {import("../api.js").Model} model as the page knows it; one that was loaded meanwhile may have answered
 */
export function showAnswer(answer, rows, model) {
  const detail = h("div", { class: "view" });
  const select = (/** @type {number} */ row) => replace(detail, ...details(rows[row], row, rows.length, model));
  select(0);
  const states = answer.headers.get("X-Cache") ?? "";
  const several = rows.length > 1 ? table(rows, select) : null;
  const by = [...new Set(rows.map((row) => row.model))].filter(Boolean); // a batch amid a reload: two of them
  const id = h("span", { class: "mono" }, answer.headers.get("X-Request-ID") ?? "");
  return [
    detail,
    several,
    h("p", {}, h("strong", {}, "Cache: "), cacheText(states)),
    timeline(answer.headers.get("Server-Timing") ?? "", answer.seconds, Boolean(answer.body.results)),
    h("p", { class: "muted" }, ...by.flatMap((name) => [name, " · "]), "request ", id),
  ];
}

/** @param {string} states one word, or for a batch counts: `l1;n=2, miss;n=1` */
export function cacheText(states) {
  const meaning = CACHE_STATES[states];
  return meaning ? `${states} – ${meaning}` : states.replaceAll(";n=", " × ");
}

/** What a row is called. @param {Outcome} row */
export function nameOf(row) {
  if (row.error) return `refused: ${row.error}`;
  return row.label ?? (typeof row.prediction === "object" ? writeJson(row.prediction) : String(row.prediction));
}

/** @param {Outcome} row @param {number} index @param {number} count @param {import("../api.js").Model} model */
function details(row, index, count, model) {
  const title = h("p", { class: "result" }, nameOf(row));
  const which = count > 1 ? h("p", { class: "muted" }, `Row ${index + 1} of ${count.toLocaleString("en")}`) : null;
  const isDescribed = row.model === titleOf(model);
  const another = `${row.model} answered, which is not what this page describes: its columns are only counted.`;
  const note = isDescribed || row.error ? null : h("p", { class: "note warn" }, another);
  return [which, title, note, ...columns(row, isDescribed ? model : null)];
}

/** @param {Outcome[]} rows @param {(row: number) => void} select */
function table(rows, select) {
  const body = h("tbody");
  const likely = rows.some((row) => row.probabilities);
  const pager = new Pager("answers", render);
  function render() {
    pager.setCount(rows.length);
    const shown = rows.slice(pager.first, pager.first + PAGE_ROWS);
    replace(body, ...shown.map((row, offset) => line(row, pager.first + offset, select, likely)));
  }
  render();
  const titles = ["#", "Prediction", ...(likely ? ["Probability"] : []), "Cached"];
  const names = titles.map((name) => h("th", { scope: "col" }, name));
  const whole = h("table", {}, h("thead", {}, h("tr", {}, ...names)), body);
  const frame = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Answers by row" }, whole);
  return h("div", { class: "view" }, frame, pager.element);
}

/** @param {Outcome} row @param {number} index @param {(row: number) => void} select @param {boolean} likely */
function line(row, index, select, likely) {
  const best = row.probabilities ? Math.max(...row.probabilities) : null;
  const choose = {
    type: "button",
    class: "icon",
    "aria-label": `Show row ${index + 1}`,
    on: { click: () => select(index) },
  };
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("button", choose, index + 1)),
    h("td", {}, nameOf(row)),
    likely ? h("td", { class: "number" }, best === null ? "" : format.probability(best)) : null,
    h("td", {}, row.error ? "" : row.cached ? "yes" : "no"),
  );
}
