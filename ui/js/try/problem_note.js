/** What went wrong, in the server's words, and for how long there is no place. */

import { Countdown } from "../countdown.js";
import { h, replace } from "../dom.js";

/** @typedef {import("../api.js").Problem} Problem */

export class ProblemNote {
  /** @param {() => void} onWait called when the seconds of `wait` change */
  constructor(onWait) {
    /** Whether what is shown has passed when the countdown ends. */
    this.isPassing = false;
    this.element = h("p", { id: "try-problem", class: "note bad", role: "alert", hidden: true });
    this.countdown = new Countdown((left) => {
      if (!left && this.isPassing) this.element.hidden = true;
      onWait();
    });
  }

  /** Seconds until a repeat makes sense. */
  get wait() {
    return this.countdown.left;
  }

  /** @param {Problem | null} problem @param {string} where as the page names it */
  show(problem, where) {
    this.element.hidden = problem === null;
    this.isPassing = problem !== null && problem.retryAfterSeconds !== null;
    if (!problem) return;
    const status = problem.status ? ` (${problem.status})` : "";
    const id = problem.requestId && h("span", { class: "mono" }, ` request ${problem.requestId}`);
    replace(this.element, h("strong", {}, `${problem.title}${status}: `), where, problem.message, id);
    if (problem.retryAfterSeconds !== null) this.countdown.start(problem.retryAfterSeconds);
  }
}
