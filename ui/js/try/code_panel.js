/** The request that was filled in, as code to copy. */

import { apiKey } from "../api_key.js";
import { h, replace } from "../dom.js";
import { LANGUAGES, codeOf } from "./code.js";

const RENDER_MS = 100;
const MOST_SHOWN = 4000; // letters; all of it is copied

export class CodePanel {
  constructor() {
    /** @type {typeof LANGUAGES[number]} */
    this.language = "curl";
    this.request = { url: "", body: "" };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.due = undefined;
    this.code = h("pre", { tabindex: 0, role: "region", "aria-label": "Code of the request" });
    this.told = h("span", { role: "status", class: "muted" });
    this.choices = LANGUAGES.map((language) =>
      h("button", { type: "button", "aria-pressed": "false", on: { click: () => this.choose(language) } }, language),
    );
    const copy = h("button", { type: "button", on: { click: () => this.copy() } }, "Copy");
    this.element = h("section", { class: "card", "aria-labelledby": "code-title" });
    this.element.append(
      h("h2", { id: "code-title" }, "The same request as code"),
      h("div", { class: "row" }, ...this.choices, copy, this.told),
      this.code,
    );
    this.choose("curl");
    apiKey.subscribe(() => this.render());
  }

  /** @param {string} url @param {string} body */
  setRequest(url, body) {
    this.request = { url, body };
    this.due ??= setTimeout(() => this.render(), RENDER_MS); // once for many keys: thousands of rows are a long text
  }

  /** @param {typeof LANGUAGES[number]} language */
  choose(language) {
    this.language = language;
    this.choices.forEach((button, index) => button.setAttribute("aria-pressed", String(LANGUAGES[index] === language)));
    this.render();
  }

  get text() {
    const { key, isRefused } = apiKey.value;
    return codeOf(this.language, this.request.url, this.request.body, key !== "" || isRefused);
  }

  render() {
    clearTimeout(this.due);
    this.due = undefined;
    const text = this.text;
    const more = text.length - MOST_SHOWN;
    replace(
      this.code,
      more > 0
        ? `${text.slice(0, MOST_SHOWN)}\n… and ${more.toLocaleString("en")} letters more, which Copy takes too`
        : text,
    );
    replace(this.told);
  }

  async copy() {
    this.render(); // now, lest it takes the selection away later
    try {
      await navigator.clipboard.writeText(this.text);
      replace(this.told, "Copied.");
    } catch {
      // Browsers open the clipboard to https:// and localhost alone, and where the reader allows it.
      replace(this.code, this.text); // whole, however long
      getSelection()?.selectAllChildren(this.code);
      replace(this.told, "This browser does not let the page copy: the code is selected, copy it with the keyboard.");
    }
  }
}
