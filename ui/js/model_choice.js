/** A choice among the loaded models, kept while it can be: of several versions the latest, which /predict asks. */

import { h, replace } from "./dom.js";

/** @typedef {import("./api.js").Model} Model */

/**
 * @param {import("./app.js").App} app
 * @param {(model: Model) => void} onChoose called for the first model, for another choice, and when the chosen one was replaced
 */
export function modelChoice(app, onChoose) {
  /** @type {Model | null} */
  let chosen = null;
  const select = h("select", { on: { change: () => choose(latest(app.models.value.value ?? [])) } });
  /** @param {Model[]} models */
  function choose(models) {
    const model = models.find((each) => each.model_name === select.value) ?? models[0];
    if (!model || (chosen?.model_name === model.model_name && chosen.digest === model.digest)) return;
    chosen = model;
    onChoose(model);
  }
  app.models.subscribe(({ value }) => {
    if (!value) return;
    const before = select.value;
    const models = latest(value);
    replace(
      select,
      ...models.map((model) =>
        h("option", { value: model.model_name }, `${model.model_name} (version ${model.model_version})`),
      ),
    );
    if (models.some((model) => model.model_name === before)) select.value = before;
    choose(models);
  });
  return h("label", { class: "field" }, "Model", select);
}

/** @param {Model[]} models by name, then version */
function latest(models) {
  return [...new Map(models.map((model) => [model.model_name, model])).values()];
}
