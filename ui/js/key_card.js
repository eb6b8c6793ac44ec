/** Asks for an API key once the server has refused a request without one, or with one it does not know. */

import { apiKey } from "./api_key.js";
import { h, replace, setIdle } from "./dom.js";

export class KeyCard {
  /** @param {HTMLElement} root hidden while no key is asked for @param {import("./app.js").App} app */
  constructor(root, app) {
    this.root = root;
    this.app = app;
    this.busy = false;
    this.field = h("input", { type: "password", autocomplete: "off", "aria-describedby": "key-hint" });
    this.button = h("button", { type: "submit", class: "primary" }, "Use this key");
    this.outcome = h("div", { role: "status" });
    root.append(
      h(
        "form",
        { class: "card", "aria-labelledby": "key-title", on: { submit: (event) => this.submit(event) } },
        h("h2", { id: "key-title" }, "This service needs an API key"),
        h("div", { class: "row" }, h("label", { class: "field" }, "API key", this.field), this.button),
        h("p", { class: "muted", id: "key-hint" }, "Kept in this page’s memory alone, and sent to this service alone."),
        this.outcome,
      ),
    );
    apiKey.subscribe(({ isRefused }) => {
      if (isRefused) root.hidden = false;
    });
  }

  /** @param {SubmitEvent} event */
  async submit(event) {
    event.preventDefault();
    const key = this.field.value.trim();
    if (this.busy || !key) return;
    replace(this.outcome);
    if (/[^\x21-\x7e]/.test(key)) return this.tell("That is no key: it has letters, digits, - and _, and one dot.");
    this.busy = true;
    setIdle(this.button, true);
    apiKey.set({ key, isRefused: false });
    await this.app.loadModels(); // shows whether the key is known, and then what was missing
    this.busy = false;
    setIdle(this.button, false);
    if (apiKey.value.isRefused) return this.tell("The service does not know this key.");
    this.field.value = "";
    this.root.hidden = true;
    document.getElementById("main")?.focus({ preventScroll: true });
  }

  /** @param {string} text */
  tell(text) {
    replace(this.outcome, h("p", { class: "note bad" }, text));
  }
}
