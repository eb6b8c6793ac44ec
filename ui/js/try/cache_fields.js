/** Whether the cache may answer, and for how long it may keep the answer. */

import { h, markInvalid } from "../dom.js";

export class CacheFields {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    this.use = h("input", { type: "checkbox", checked: true, on: { change: () => this.changed() } });
    this.ttl = h("input", {
      class: "short",
      inputmode: "numeric",
      placeholder: "default",
      on: { input: () => this.changed() },
    });
    this.element = h(
      "div",
      { class: "row" },
      h("label", { class: "field" }, this.use, "Use the cache"),
      h("label", { class: "field" }, "for", this.ttl, "seconds"),
    );
  }

  /** @returns {import("./body.js").CacheChoice} */
  get choice() {
    return { useCache: this.use.checked, ttl: this.ttl.value };
  }

  /** @param {boolean} isWrong whether the server has refused the seconds */
  showFault(isWrong) {
    markInvalid(this.ttl, isWrong);
  }

  changed() {
    this.ttl.disabled = !this.use.checked;
    this.showFault(false);
    this.onChange();
  }
}
