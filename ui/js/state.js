/** The pill in the head: how the service is, in a word. */

import { replace } from "./dom.js";

/** @typedef {import("./api.js").Health} Health */

const LOOKS = {
  healthy: { look: "good", sign: "●" },
  degraded: { look: "warn", sign: "▲" },
  unhealthy: { look: "bad", sign: "■" },
  unreachable: { look: "bad", sign: "■" },
};

/** Look and sign of a state, which differ in shape as well as in colour. @param {string} word */
export function lookOf(word) {
  return LOOKS[/** @type {keyof typeof LOOKS} */ (word)] ?? LOOKS.unreachable;
}

const AWAY = [0, 502, 503, 504]; // statuses of who finds nobody; a 429 comes from somebody

/** How the service is, in a word; empty while it is not known. @param {import("./app.js").Loaded<Health>} health */
export function wordOf({ value, problem }) {
  if (problem && (AWAY.includes(problem.status) || !value)) return "unreachable";
  return value?.status ?? "";
}

/**
 * @param {HTMLElement} pill
 * @param {import("./store.js").Store<import("./app.js").Loaded<Health>>} health
 */
export function showState(pill, health) {
  let shown = "";
  health.subscribe((state) => {
    const word = wordOf(state);
    if (!word || word === shown) return; // it is announced: only when it changes
    shown = word;
    const { look, sign } = lookOf(word);
    pill.className = `pill ${look}`;
    replace(pill, `${sign} ${word}`);
  });
}
