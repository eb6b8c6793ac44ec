/** Send many requests from here, and see how they were answered. */

import { Problem, getSample, predictUrl } from "../api.js";
import { Burst, MOST_AT_ONCE, MOST_REQUESTS } from "../burst/burst.js";
import { results } from "../burst/results.js";
import { h, replace, setIdle } from "../dom.js";
import * as format from "../format.js";
import { writeJson } from "../json.js";
import { modelChoice } from "../model_choice.js";
import { predictBody, rowJson } from "../try/body.js";
import { formOf } from "../try/form.js";

const SHOWN_EVERY_MS = 100;

/** @param {HTMLElement} root @param {import("../app.js").App} app */
export function burstView(root, app) {
  new BurstView(root, app);
  return {};
}

class BurstView {
  /** @param {HTMLElement} root @param {import("../app.js").App} app */
  constructor(root, app) {
    /** @type {import("../api.js").Model | null} */
    this.model = null;
    /** @type {Burst | null} */
    this.burst = null;
    this.requests = numberInput(200, MOST_REQUESTS);
    this.atOnce = numberInput(4, MOST_AT_ONCE);
    this.useCache = h("input", { type: "checkbox", checked: true });
    this.start = h("button", { type: "submit", class: "primary", disabled: true }, "Start"); // until there is a model
    this.stop = h("button", { type: "button", on: { click: () => this.burst?.stop() } }, "Stop");
    this.progress = h("progress", { max: 1, value: 0, "aria-label": "Requests answered" });
    this.told = h("p", { class: "muted", role: "status" }, "Rows of the model’s sample are sent in turn.");
    this.problem = h("p", { class: "note bad", role: "alert", hidden: true });
    this.results = h("section", { class: "card answer", "aria-labelledby": "burst-title" });
    replace(
      this.results,
      h("h2", { id: "burst-title" }, "Result"),
      h("p", { class: "muted" }, "Percentiles, statuses and cache states are shown here at the end."),
    );
    this.setBusy(false);
    root.append(h("h1", {}, "Burst"), this.card(app), this.results);
  }

  /** @param {import("../app.js").App} app */
  card(app) {
    const limits = `At most ${MOST_REQUESTS.toLocaleString("en")} requests, ${MOST_AT_ONCE} at a time: a browser opens no more connections to a server. For measurements use bench/.`;
    return h(
      "form",
      { class: "card", on: { submit: (event) => this.submit(event) } },
      h(
        "div",
        { class: "row" },
        modelChoice(app, (model) => this.setModel(model)),
        h("label", { class: "field" }, "Requests", this.requests),
        h("label", { class: "field" }, "At a time", this.atOnce),
        h("label", { class: "field" }, this.useCache, "Use the cache"),
      ),
      h("div", { class: "row" }, this.start, this.stop),
      this.progress,
      this.told,
      this.problem,
      h("p", { class: "muted" }, limits),
    );
  }

  /** @param {import("../api.js").Model} model */
  setModel(model) {
    this.model = model;
    this.start.disabled = false;
  }

  /** @param {SubmitEvent} event */
  async submit(event) {
    event.preventDefault();
    const { model } = this;
    if (this.busy || !model) return;
    this.problem.hidden = true;
    this.setBusy(true);
    const url = predictUrl(model.model_name, false);
    const burst = (this.burst = new Burst(url, Number(this.requests.value), Number(this.atOnce.value)));
    try {
      await this.run(burst, await this.bodies(model));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.problem.hidden = false;
      replace(this.problem, h("strong", {}, `${error.title}: `), error.message);
    } finally {
      this.setBusy(false);
    }
  }

  /** @param {boolean} busy */
  setBusy(busy) {
    this.busy = busy;
    setIdle(this.start, busy);
    setIdle(this.stop, !busy);
  }

  /** A body a sample row. @param {import("../api.js").Model} model */
  async bodies(model) {
    const { kind, dtype, hint } = formOf(model);
    if (kind === "none") throw new Problem(422, { title: "Not for this model", detail: hint });
    const choice = { useCache: this.useCache.checked, ttl: "" };
    const rows = await getSample(model.model_name);
    return rows.map((row) =>
      predictBody([kind === "table" ? rowJson(row.map(String), dtype) : writeJson(row)], choice),
    );
  }

  /** @param {Burst} burst @param {string[]} bodies */
  async run(burst, bodies) {
    replace(this.told, "Sending …");
    const timer = setInterval(() => this.showProgress(burst), SHOWN_EVERY_MS);
    try {
      await burst.run(bodies);
    } finally {
      clearInterval(timer);
      this.burst = null;
      this.showProgress(burst);
    }
    const { tally } = burst;
    const stopped = burst.stopped.signal.aborted ? "Stopped: " : "";
    const failed = tally.done - tally.latencies.length;
    const which = `${tally.latencies.length} of ${format.plural(tally.total, "request")} answered`;
    const others = failed ? `, ${failed} refused or failed,` : "";
    replace(this.told, `${stopped}${which}${others} in ${format.seconds(tally.seconds)}.`);
    replace(this.results, h("h2", { id: "burst-title" }, "Result"), ...results(tally));
  }

  /** @param {Burst} burst */
  showProgress({ tally }) {
    this.progress.value = tally.total ? tally.done / tally.total : 0;
  }
}

/** @param {number} value @param {number} most */
function numberInput(value, most) {
  return h("input", { type: "number", class: "short", value, min: 1, max: most, step: 1, required: true });
}
