/** How the inputs of a model are filled in. */

import { plural } from "../format.js";

const MOST_COLUMNS = 60; // more than that nobody types; as JSON, or from a file, they go too

/**
 * `table`: rows of named cells. `json`: text. `none`: this model cannot be asked by `POST /predict`.
 *
 * @typedef {{kind: "table" | "json" | "none", columns: string[], dtype: string, hint: string}} Form
 */

/**
 * @param {import("../api.js").Model} model
 * @returns {Form}
 */
export function formOf(model) {
  if (model.inputs.length !== 1) {
    const names = model.inputs.map((input) => input.name).join(", ");
    const inputs = names ? `${model.inputs.length} inputs (${names})` : "no inputs";
    const hint = `This model has ${inputs}. POST /predict takes models with one.`;
    return { kind: "none", columns: [], dtype: "", hint };
  }
  const [{ dtype, shape, ranked }] = model.inputs;
  if (ranked === false) {
    const hint = "This model's input has any shape. POST /predict takes models that tell theirs.";
    return { kind: "none", columns: [], dtype: "", hint };
  }
  const sizes = shape.map((size) => (size === -1 ? "any" : size)).join(" × ");
  const hint = `${dtype}, ${sizes}: a list of rows, nested as deep as the model's input.`;
  const count = shape.length === 2 ? shape[1] : -1;
  if (count < 1) return { kind: "json", columns: [], dtype, hint };
  const columns = Array.from({ length: count }, (_, index) => model.features?.[index] ?? `feature ${index}`);
  return { kind: count > MOST_COLUMNS ? "json" : "table", columns, dtype, hint };
}

/** What a model does, in a sentence. @param {import("../api.js").Model} model @param {Form} form */
export function aboutOf(model, { kind, columns, dtype }) {
  const gives = model.output_classes ? `tells one of ${model.output_classes} classes` : "gives a value";
  if (kind !== "table") return `${model.model_name} ${gives} for each row.`;
  const takes = plural(columns.length, dtype === "str" ? "word" : "number");
  return `${model.model_name} takes ${takes} a row and ${gives}. Type, or paste cells from a spreadsheet.`;
}
