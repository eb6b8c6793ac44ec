/** The card with the answer, and whether it still is one to what is filled in. */

import { h, replace } from "../dom.js";
import { showAnswer } from "./answer.js";

export class AnswerCard {
  constructor() {
    this.hasAnswer = false;
    this.outdated = h("p", { class: "note warn", hidden: true }, "The request has changed since this answer.");
    const empty = h("p", { class: "muted" }, "Press Predict, and the answer is shown here.");
    this.place = h("div", { class: "view answer", "aria-live": "polite" }, empty);
    const title = h("h2", { id: "answer-title" }, "The answer");
    this.element = h("section", { class: "card", "aria-labelledby": "answer-title" }, title, this.outdated, this.place);
  }

  /**
   * @param {import("../api.js").Answer} answer
   * @param {import("./answer.js").Outcome[]} rows
   * @param {import("../api.js").Model} model
   */
  show(answer, rows, model) {
    this.hasAnswer = true;
    this.outdated.hidden = true;
    replace(this.place, ...showAnswer(answer, rows, model));
  }

  /** Something else is filled in now. */
  outdate() {
    this.outdated.hidden = !this.hasAnswer;
  }
}
