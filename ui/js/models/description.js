/** A model as a card: what it takes and gives, how it runs, and what a run costs. */

import { h } from "../dom.js";
import * as format from "../format.js";
import { costPlot } from "../plot.js";

/** @typedef {import("../api.js").Model} Model */
/** @typedef {import("../api.js").TensorSpec} TensorSpec */

const MODES = /** @type {Record<string, string>} */ ({
  inline: "Short runs go on the event loop’s own thread, longer ones to a session’s.",
  pool: "Each run goes to a session’s own thread.",
});

const VERDICTS = /** @type {Record<string, string>} */ ({
  independent: "Its graph shows that no row changes another’s answer.",
  coupled: "Its graph shows that rows of one run change each other’s answers.",
  unknown: "Its graph does not tell whether rows of one run change each other’s answers.",
});

const KEEPING = /** @type {Record<string, string>} */ ({
  everywhere: "their answers are cached like any other",
  here: "their answers are cached by this replica alone, until more rows have been checked",
  nowhere: "their answers are never cached",
});

/** @param {Model} model */
export function describe(model) {
  const { batching } = model;
  const title = h("h2", {}, `${model.model_name} `, h("span", { class: "muted" }, `version ${model.model_version}`));
  const curve =
    batching.cost_curve.length > 1
      ? h("div", {}, h("h3", {}, "What a run costs"), costPlot(batching.cost_curve))
      : null;
  return h(
    "section",
    { class: "card", "aria-label": `Model ${model.model_name}` },
    title,
    h("div", { class: "columns" }, h("dl", {}, ...facts(model)), curve),
    tensors("Inputs", model.inputs),
    tensors("Outputs", model.outputs),
  );
}

/** @param {Model} model */
function facts(model) {
  const { batching } = model;
  return [
    ["Kind", model.model_type],
    ["Classes", (model.class_names ?? model.class_labels)?.join(", ") ?? model.output_classes ?? "not told"],
    ["Features", model.features?.join(", ") ?? "no names"],
    ["Rows", `${batching.verdict}. ${VERDICTS[batching.verdict] ?? ""}`],
    ["Decided by", batching.node ? h("span", { class: "mono" }, batching.node) : "all of its nodes"],
    ["Batching", `${batching.enabled ? "on" : "off"}: ${batching.reason}`],
    ["Shared runs", batching.enabled ? (KEEPING[batching.shared_answers] ?? batching.shared_answers) : "none"],
    ["Mode", `${batching.mode}. ${MODES[batching.mode] ?? ""}`],
    ["Sessions", model.sessions],
    ["Cache", model.cacheable ? "answers may be cached" : "never cached: its graph draws random numbers"],
    ["Loaded in", format.seconds(model.load_seconds)],
    ["Digest", h("span", { class: "mono" }, model.digest)],
  ].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

/** @param {string} title @param {TensorSpec[]} specs */
function tensors(title, specs) {
  const rows = specs.map(({ name, dtype, shape, ranked }) => {
    const none = ranked === false ? "any shape" : "scalar";
    const sizes = shape.map((size) => (size === -1 ? "any" : size)).join(" × ") || none;
    return h("tr", {}, h("th", { scope: "row", class: "mono" }, name), h("td", {}, dtype), h("td", {}, sizes));
  });
  const names = [title, "dtype", "shape"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
    h("table", {}, h("thead", {}, h("tr", {}, ...names)), h("tbody", {}, ...rows)),
  );
}
