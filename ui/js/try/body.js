/**
 * Request bodies, written rather than encoded: a number goes out as it was typed, with all its digits
 * (a JavaScript number would lose those of a 64-bit integer), and what is no number goes out as a
 * string, so that the server says what is wrong with it.
 */

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** @typedef {{useCache: boolean, ttl: string}} CacheChoice `ttl` is what was typed; empty = the server's own */

/** @param {string} text @param {string} dtype numpy's word, `str` for strings */
export function cellJson(text, dtype) {
  if (dtype === "str") return JSON.stringify(text);
  if (text === "") return "null";
  const lower = text.toLowerCase();
  if (dtype === "bool" && (lower === "true" || lower === "false")) return lower;
  const plain = text
    .replace(/^\+/, "")
    .replace(/^(-?)\./, "$10.")
    .replace(/\.$/, "");
  return NUMBER.test(plain) ? plain : JSON.stringify(text);
}

/** @param {string[]} row @param {string} dtype */
export function rowJson(row, dtype) {
  return `[${row.map((cell) => cellJson(cell, dtype)).join(",")}]`;
}

/** Body of `POST /predict`. @param {string[]} rows JSON of each @param {CacheChoice} choice */
export function predictBody(rows, choice) {
  return `{"data":[${rows.join(",")}]${options(choice)}}`;
}

/** Body of `POST /predict/batch`, a request a row. @param {string[]} rows JSON of each @param {CacheChoice} choice */
export function batchBody(rows, choice) {
  return `{"requests":[${rows.map((row) => predictBody([row], choice)).join(",")}]}`;
}

/** @param {CacheChoice} choice */
function options({ useCache, ttl }) {
  if (!useCache) return ',"use_cache":false';
  return ttl.trim() === "" ? "" : `,"cache_ttl":${cellJson(ttl.trim(), "int64")}`;
}
