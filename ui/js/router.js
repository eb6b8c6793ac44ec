/** `#/NAME` shows a view. Each is made when it is first asked for, and hidden afterwards, with all that was typed. */

import { h } from "./dom.js";
import { burstView } from "./views/burst.js";
import { healthView } from "./views/health.js";
import { liveView } from "./views/live.js";
import { modelsView } from "./views/models.js";
import { tryView } from "./views/try.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {{shown?: () => void, hidden?: () => void}} Shown */

/** @type {{name: string, title: string, make: (root: HTMLElement, app: App) => Shown}[]} */
const VIEWS = [
  { name: "try", title: "Try it", make: tryView },
  { name: "live", title: "Live", make: liveView },
  { name: "burst", title: "Burst", make: burstView },
  { name: "models", title: "Models", make: modelsView },
  { name: "health", title: "Health", make: healthView },
];

/** @param {App} app */
export function startRouter(app) {
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  const nav = /** @type {HTMLElement} */ (document.getElementById("nav"));
  const links = VIEWS.map(({ name, title }) => h("a", { href: `#/${name}` }, title));
  nav.append(...links.map((link) => h("li", {}, link)));
  /** @type {Map<string, {root: HTMLElement, view: Shown}>} */
  const made = new Map();
  let current = "";

  function show() {
    const asked = location.hash.match(/^#\/(\w+)/)?.[1];
    if (location.hash && !asked) return; // the skip link, which leads to #main
    const { name, title, make } = VIEWS.find((view) => view.name === asked) ?? VIEWS[0];
    if (name === current) return;
    const before = made.get(current);
    if (before) {
      before.root.hidden = true;
      before.view.hidden?.();
    }
    let next = made.get(name);
    if (next) {
      next.root.hidden = false;
    } else {
      const root = h("div", { class: "view", id: `view-${name}` });
      main.append(root);
      next = { root, view: make(root, app) };
      made.set(name, next);
    }
    next.view.shown?.();
    links.forEach((link, index) => {
      if (VIEWS[index].name === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    document.title = `${title} – ml-pipeline`;
    if (current) main.focus({ preventScroll: true }); // where a screen reader goes on; not at the first load
    current = name;
  }

  addEventListener("hashchange", show);
  show();
}
