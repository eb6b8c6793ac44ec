/** The replicas as a table. */

import { h, replace } from "../dom.js";
import { number, plural, seconds, uptime, UNKNOWN } from "../format.js";

const HEADS = ["Replica", "State", "Version", "Up for", "Requests/s", "Errors/s", "p95", "Models"];
const NUMBERS = ["Up for", "Requests/s", "Errors/s", "p95"];
const DIGEST_LENGTH = 8; // enough to tell two files apart by eye

/** @typedef {import("./source.js").Replica} Replica */

/** @param {HTMLElement} root @returns {(state: import("./feed.js").LiveState) => void} draws it */
export function replicaTable(root) {
  const body = h("tbody");
  const caption = h("p", { class: "muted" });
  const heads = HEADS.map((head) => h("th", { scope: "col", class: NUMBERS.includes(head) && "number" }, head));
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads)), body);
  const scroll = h("div", { class: "scroll", role: "region", tabindex: 0, "aria-labelledby": "replicas-title" }, table);
  root.append(h("section", { class: "card" }, h("h2", { id: "replicas-title" }, "Replicas"), caption, scroll));
  return ({ replicas, source, status }) => {
    const up = replicas.filter((replica) => replica.up).length;
    caption.textContent = replicas.length
      ? `${plural(replicas.length, "replica")} known, ${up} up.`
      : emptyText(status);
    if (source === "server" && replicas.length) caption.textContent += " Those that answered in the last 15 s.";
    replace(body, ...replicas.map(row));
  };
}

/** @param {string} status */
function emptyText(status) {
  if (status === "loading") return "Asking …";
  return status === "unreachable" ? "Nothing is known of them at the moment." : "None is known.";
}

/** @param {Replica} replica */
function row(replica) {
  const { look, sign, word } = stateOf(replica);
  const models = replica.models.map(({ model, version, digest }) =>
    h("li", {}, `${model} ${version} `, h("span", { class: "mono muted" }, digest.slice(0, DIGEST_LENGTH))),
  );
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, replica.instance),
    h("td", {}, h("span", { class: `pill ${look}` }, `${sign} ${word}`)),
    h("td", {}, replica.version || UNKNOWN),
    h("td", { class: "number" }, uptime(replica.uptime)),
    h("td", { class: "number" }, number(replica.requests)),
    h("td", { class: "number" }, number(replica.errors)),
    h("td", { class: "number" }, seconds(replica.p95)),
    h("td", {}, models.length ? h("ul", { class: "models" }, ...models) : UNKNOWN),
  );
}

/** Signs differ in shape, not only in colour. @param {Replica} replica */
function stateOf({ up, behind }) {
  if (!up) return { look: "bad", sign: "■", word: "down" };
  return behind ? { look: "warn", sign: "▲", word: "behind" } : { look: "good", sign: "●", word: "up" };
}
