/** What is loaded, and loading it anew. */

import { h, replace } from "../dom.js";
import { describe } from "../models/description.js";
import { ReloadCard } from "../models/reload.js";

/** @param {HTMLElement} root @param {import("../app.js").App} app */
export function modelsView(root, app) {
  const list = h("div", { class: "view" });
  root.append(h("h1", {}, "Models"), list, new ReloadCard(app).element);
  let shown = "";
  app.models.subscribe(({ value, problem }) => {
    if (value) {
      const told = JSON.stringify(value);
      if (told === shown) return; // drawn anew only when something has changed
      shown = told;
      replace(list, ...value.map(describe));
    } else {
      replace(
        list,
        h(
          "section",
          { class: "card loading" },
          problem
            ? h("p", { class: "note bad" }, `${problem.title}: ${problem.message}`)
            : h("p", { class: "muted" }, "Asking …"),
        ),
      );
    }
  });
  return {};
}
