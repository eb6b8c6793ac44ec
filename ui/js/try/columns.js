/** The numbers of one answered row: a bar for each probability, or scores as they are. */

import { h } from "../dom.js";
import * as format from "../format.js";

/** @typedef {import("../api.js").Model} Model */
/** @typedef {{name: string, value: number}} Column */

const MOST_COLUMNS = 20;

/** What rounding may add to a probability. */
const SLACK = 0.001;

/**
 * @param {{probabilities: number[] | null, scores: any}} row
 * @param {Model | null} model that answered; null where it is not known: no class is named then
 */
export function columns({ probabilities, scores }, model) {
  if (probabilities) {
    const areShares = probabilities.every((value) => value >= -SLACK && value <= 1 + SLACK);
    return areShares ? bars(named(probabilities, model)) : list(named(probabilities, model));
  }
  if (Array.isArray(scores)) return list(model?.scores_by_class ? named(scores, model) : numbered(scores));
  return typeof scores === "number" ? list([{ name: "score", value: scores }]) : [];
}

/** @param {number[]} values of one class each @param {Model | null} model @returns {Column[]} */
function named(values, model) {
  if (!model) return values.map((value, place) => ({ value, name: `column ${place + 1}` }));
  return values.map((value, place) => ({
    value,
    name: model.class_names?.[place] ?? nameOf(model.class_labels?.[place] ?? place),
  }));
}

/** @param {number | string} label */
function nameOf(label) {
  return typeof label === "string" ? label : `class ${label}`;
}

/** @param {number[]} values @returns {Column[]} */
function numbered(values) {
  return values.map((value, place) => ({ value, name: `score ${place + 1}` }));
}

/** @param {Column[]} all */
function bars(all) {
  const best = all.length > MOST_COLUMNS ? all.sort((a, b) => b.value - a.value).slice(0, MOST_COLUMNS) : all;
  const cells = best.flatMap(({ name, value }) => [
    h("span", { class: "name" }, name),
    h("progress", { max: 1, value, "aria-label": `Probability of ${name}` }),
    h("span", { class: "number" }, format.probability(value)),
  ]);
  return [h("div", { class: "bars" }, ...cells), left(all.length - best.length, "less likely one")];
}

/** @param {Column[]} all */
function list(all) {
  const shown = all.slice(0, MOST_COLUMNS);
  const cells = shown.flatMap(({ name, value }) => [h("dt", {}, name), h("dd", {}, format.number(value))]);
  return [h("dl", { "aria-label": "Scores" }, ...cells), left(all.length - shown.length, "further score")];
}

/** @param {number} count @param {string} thing */
function left(count, thing) {
  return count ? h("p", { class: "muted" }, `and ${format.plural(count, thing)}`) : null;
}
