/** Try a model: rows in, classes out, and what happened on the way. */

import { Problem, getSample, predict, predictUrl } from "../api.js";
import { h, replace, setIdle } from "../dom.js";
import { plural } from "../format.js";
import { modelChoice } from "../model_choice.js";
import { batchOutcomes, outcomes } from "../try/answer.js";
import { AnswerCard } from "../try/answer_card.js";
import { batchBody, predictBody } from "../try/body.js";
import { CacheFields } from "../try/cache_fields.js";
import { CodePanel } from "../try/code_panel.js";
import { aboutOf } from "../try/form.js";
import { Inputs } from "../try/inputs.js";
import { placeOf } from "../try/place.js";
import { ProblemNote } from "../try/problem_note.js";

/** @typedef {import("../api.js").Model} Model */

/** After so long Prometheus has scraped the replica that answered (ops/prometheus: each 2 s). */
const SCRAPED_MS = 2200;

/** @param {HTMLElement} root @param {import("../app.js").App} app */
export function tryView(root, app) {
  new TryView(root, app);
  return {};
}

class TryView {
  /** @param {HTMLElement} root @param {import("../app.js").App} app */
  constructor(root, app) {
    this.feed = app.feed;
    /** @type {Model | null} */
    this.model = null;
    this.busy = false;
    this.version = 0; // of what is filled in
    this.problem = new ProblemNote(() => this.renderButtons());
    this.inputs = new Inputs(() => this.changed());
    this.code = new CodePanel();
    this.about = h("p", { class: "muted about" }, "Asking for the models …");
    this.cache = new CacheFields(() => this.changed());
    this.predict = h("button", { type: "button", class: "primary", on: { click: () => this.send(false) } }, "Predict");
    this.batch = h("button", { type: "button", on: { click: () => this.send(true) } }, "Batch");
    this.answer = new AnswerCard();
    root.append(
      h("h1", {}, "Try a model"),
      h("div", { class: "columns try" }, this.askCard(app), this.answer.element, this.code.element),
    );
    this.renderButtons();
  }

  /** @param {import("../app.js").App} app */
  askCard(app) {
    const file = h("input", {
      type: "file",
      accept: ".csv,.tsv,.txt,text/csv",
      "aria-label": "Upload a CSV file",
      on: { change: () => this.upload(file) },
    });
    const sample = h("button", { type: "button", on: { click: () => this.loadSample() } }, "Load sample");
    const explained =
      "Predict sends the rows as one request; Batch sends each as a request of its own, all in one call.";
    return h(
      "section",
      { class: "card", "aria-label": "The request" },
      h(
        "div",
        { class: "row" },
        modelChoice(app, (model) => this.setModel(model)),
        sample,
        h("span", { class: "button file" }, "Upload CSV", file),
      ),
      this.about,
      this.inputs.element,
      this.cache.element,
      h("div", { class: "row" }, this.predict, this.batch, h("span", { class: "muted" }, explained)),
      this.problem.element,
    );
  }

  /** @param {Model} model */
  setModel(model) {
    this.model = model;
    const isOther = this.inputs.setModel(model);
    replace(this.about, aboutOf(model, this.inputs.form));
    this.code.element.hidden = this.inputs.form.kind === "none";
    this.showProblem(null);
    this.renderButtons();
    if (isOther && this.inputs.form.kind !== "none") void this.loadSample();
    this.changed();
  }

  async loadSample() {
    const model = this.model;
    if (!model) return;
    const { edits } = this.inputs;
    await this.attempt(false, async () => {
      const rows = await getSample(model.model_name);
      const isWanted = model === this.model && edits === this.inputs.edits; // who types meanwhile does not want it
      if (isWanted) this.inputs.fill(rows);
    });
  }

  /** @param {HTMLInputElement} file */
  async upload(file) {
    const [chosen] = file.files ?? [];
    if (!chosen) return;
    this.showProblem(null);
    this.inputs.load(await chosen.text());
    file.value = ""; // the same file may be chosen again, changed
  }

  /** @param {boolean} batch */
  async send(batch) {
    const model = this.model;
    if (!model || this.busy || this.problem.wait) return;
    this.busy = true;
    this.renderButtons();
    const { version } = this;
    await this.attempt(batch, async () => {
      const { url, body } = this.request(batch);
      const answer = await predict(url, body);
      const rows = batch ? batchOutcomes(answer.body) : outcomes(answer.body);
      this.showProblem(null);
      this.answer.show(answer, rows, model);
      if (version !== this.version) return this.answer.outdate(); // it was slower than who types
      const failed = rows.findIndex((row) => row.error);
      if (failed >= 0) this.inputs.showFault(placeOf(rows[failed].error ?? "", true));
    }).finally(() => {
      this.busy = false;
      this.renderButtons();
    });
    void this.feed.refresh();
    setTimeout(() => this.feed.refresh(), SCRAPED_MS);
  }

  /** Do something, and show its problem where it is. @param {boolean} batch @param {() => Promise<void>} action */
  async attempt(batch, action) {
    const { version } = this;
    try {
      await action();
    } catch (error) {
      if (error instanceof SyntaxError)
        this.showProblem(new Problem(0, { title: "Not JSON", detail: `data: ${error.message}` }), batch);
      else if (error instanceof Problem) this.showProblem(error, batch, version === this.version);
      else throw error;
    }
  }

  /** @param {boolean} batch */
  request(batch) {
    const rows = this.inputs.rows();
    const body = batch ? batchBody(rows, this.cache.choice) : predictBody(rows, this.cache.choice);
    return { url: predictUrl(this.model?.model_name ?? "", batch), body };
  }

  /**
   * @param {Problem | null} problem
   * @param {boolean} [batch]
   * @param {boolean} [isCurrent] whether what it is about is still filled in
   */
  showProblem(problem, batch = false, isCurrent = true) {
    const place = problem && isCurrent ? placeOf(problem.message, batch) : null;
    this.inputs.showFault(place);
    this.cache.showFault(place?.field === "cache_ttl");
    this.problem.show(problem, (place && this.inputs.table?.nameOf(place)) || "");
  }

  changed() {
    this.version += 1;
    this.answer.outdate();
    try {
      const { url, body } = this.request(false);
      this.code.setRequest(url, body);
    } catch (error) {
      // No JSON yet, while it is being typed: the code stays that of the last that was.
      if (!(error instanceof SyntaxError)) throw error;
    }
    this.renderButtons();
  }

  renderButtons() {
    const left = this.problem.wait;
    const asks = this.model !== null && this.inputs.form.kind !== "none";
    for (const button of [this.predict, this.batch]) {
      button.disabled = !asks;
      setIdle(button, this.busy || left > 0);
    }
    const rows = this.inputs.table ? ` ${plural(this.inputs.table.rows.length, "row")}` : "";
    replace(this.predict, left ? `Again in ${left} s` : this.busy ? "Predicting …" : `Predict${rows}`);
  }
}
