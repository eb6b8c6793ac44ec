/** Reload the models from disk, and watch which replica serves what afterwards. */

import { Problem, reloadModels } from "../api.js";
import { h, replace, setIdle } from "../dom.js";
import * as format from "../format.js";
import { lookOf } from "../state.js";

const PATIENCE_SECONDS = 20; // scrapes are seconds apart, and another replica loads in its own time

/** @typedef {import("../api.js").Model} Model */
/** @typedef {import("../live/feed.js").Replica} Replica */

export class ReloadCard {
  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.busy = false;
    /** Models that every replica should have now, and since when. @type {{models: Model[], at: number} | null} */
    this.expected = null;
    this.token = h("input", { type: "password", autocomplete: "off", "aria-describedby": "token-hint" });
    this.button = h("button", { type: "submit", class: "primary" }, "Reload");
    this.outcome = h("div", { role: "status" });
    this.replicas = h("div");
    const hint =
      "Kept in this page’s memory alone. It is the ADMIN_TOKEN of the service; ./ops/stack status shows that of the native stack. A server without one takes reloads from its own machine alone, and none in production.";
    this.element = h(
      "form",
      { class: "card", "aria-labelledby": "reload-title", on: { submit: (event) => this.submit(event) } },
      h("h2", { id: "reload-title" }, "Reload"),
      h(
        "p",
        { class: "muted" },
        "Reads the model files again. The old models answer until the new ones are warm; a broken file changes nothing. Other replicas follow over Redis, where they serve something else.",
      ),
      h("div", { class: "row" }, h("label", { class: "field" }, "Admin token", this.token), this.button),
      h("p", { class: "muted", id: "token-hint" }, hint),
      this.outcome,
      this.replicas,
    );
    app.feed.subscribe(() => this.renderReplicas());
  }

  /** @param {SubmitEvent} event */
  async submit(event) {
    event.preventDefault();
    if (this.busy) return;
    this.setBusy(true);
    try {
      const models = await reloadModels(this.token.value);
      this.expected = { models, at: performance.now() };
      this.tell("good", `Loaded ${models.map((model) => `${model.model_name} ${model.model_version}`).join(", ")}.`);
      this.app.models.set({ value: models, problem: null });
      void this.app.feed.refresh();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.tell("bad", `${error.title}${error.status ? ` (${error.status})` : ""}: ${error.message}`);
    }
    this.setBusy(false);
    this.renderReplicas();
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    this.busy = busy;
    setIdle(this.button, busy);
    replace(this.button, busy ? "Reloading …" : "Reload");
  }

  /** @param {string} look @param {string} text */
  tell(look, text) {
    replace(this.outcome, h("p", { class: `note ${look}` }, text));
  }

  renderReplicas() {
    const { expected } = this;
    if (!expected) return;
    const late = performance.now() - expected.at > PATIENCE_SECONDS * 1000;
    const rows = this.app.feed.state.replicas.map((replica) => {
      const { word, text } = outcomeOf(replica, expected.models, late);
      const { look, sign } = lookOf(word);
      return h(
        "tr",
        {},
        h("th", { scope: "row" }, replica.instance),
        h("td", {}, h("span", { class: `pill ${look}` }, `${sign} ${text}`)),
      );
    });
    const names = ["Replica", "Outcome"].map((name) => h("th", { scope: "col" }, name));
    replace(
      this.replicas,
      rows.length
        ? h("table", {}, h("thead", {}, h("tr", {}, ...names)), h("tbody", {}, ...rows))
        : h("p", { class: "muted" }, "No replica is known from the metrics."),
    );
  }
}

/**
 * What a replica has made of a reload, by the digests it serves.
 *
 * @param {Replica} replica
 * @param {Model[]} models
 * @param {boolean} late
 */
function outcomeOf(replica, models, late) {
  if (!replica.up) return { word: "unhealthy", text: "does not answer" };
  const served = new Map(replica.models.map(({ model, version, digest }) => [`${model} ${version}`, digest]));
  const loaded = new Map(models.map((each) => [`${each.model_name} ${each.model_version}`, each]));
  const other = [...loaded].find(([key, { digest }]) => served.get(key) !== digest.slice(0, 12))?.[1];
  const removed = replica.models.find(({ model, version }) => !loaded.has(`${model} ${version}`));
  if (!other && removed && !replica.behind)
    return { word: "degraded", text: `still serves ${removed.model}, which is gone` };
  if (!other) return { word: "healthy", text: `serves ${format.plural(models.length, "model")} as loaded now` };
  if (replica.behind) return { word: "degraded", text: `is behind: ${other.model_name} is another in its MODEL_PATH` };
  if (late)
    return {
      word: "degraded",
      text: `still serves another ${other.model_name}; without a shared Redis each replica is reloaded by itself`,
    };
  return { word: "degraded", text: "not seen yet …" };
}
