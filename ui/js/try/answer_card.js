/** The card with the answer, and whether it still is one to what is filled in. */

import { h, replace } from "../dom.js";
import { plural } from "../format.js";
import { nameOf, showAnswer } from "./answer.js";

export class AnswerCard {
  constructor() {
    this.hasAnswer = false;
    this.outdated = h("p", { class: "note warn", hidden: true }, "The request has changed since this answer.");
    const empty = h("p", { class: "muted" }, "Press Predict, and the answer is shown here.");
    this.told = h("p", { class: "unseen", role: "status" }); // the answer in a few words, not all of its tables
    this.place = h("div", { class: "view answer" }, empty);
    const title = h("h2", { id: "answer-title" }, "The answer");
    this.element = h(
      "section",
      { class: "card", "aria-labelledby": "answer-title" },
      title,
      this.outdated,
      this.told,
      this.place,
    );
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
    const others = rows.length > 1 ? `, and ${plural(rows.length - 1, "more row")}` : "";
    replace(this.told, `${nameOf(rows[0])}${others}`);
  }

  /** Something else is filled in now. */
  outdate() {
    this.outdated.hidden = !this.hasAnswer;
  }
}
