/** Where the numbers come from and how old they are. */

import { h, replace } from "../dom.js";
import { clock } from "../format.js";

const LOOKS = {
  loading: { look: "", sign: "…" },
  live: { look: "good", sign: "●" },
  stale: { look: "warn", sign: "▲" },
  unreachable: { look: "bad", sign: "■" },
};
const SOURCES = { prometheus: "From Prometheus: all replicas, every 2 s.", server: "From the server, every 2 s." };

/** @param {HTMLElement} root @returns {(state: import("./feed.js").LiveState) => void} draws it */
export function sourceLine(root) {
  const state = h("p", { class: "row", role: "status" });
  const age = h("p", { class: "muted age" });
  root.append(h("div", { class: "row end source" }, state, age));
  let shown = "";
  return ({ status, source, reason, at }) => {
    const words = reason || (source ? SOURCES[source] : "Asking for numbers.");
    age.textContent = at === null ? "" : `newest of ${clock(at)}`;
    if (shown === status + words) return; // it is announced: only when it changes
    shown = status + words;
    const { look, sign } = LOOKS[status];
    replace(state, h("span", { class: `pill ${look}` }, `${sign} ${status}`), " ", words);
  };
}
