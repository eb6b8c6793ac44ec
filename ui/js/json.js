/**
 * JSON whose integers keep all their digits: one that a number would round is read as a BigInt.
 *
 * Browsers without the source text of a value (Chromium 114, Firefox 135, Safari 18.4) round it.
 */

const LONG = /(?:^|[^.\d])\d{16}/;

/** @typedef {{source?: string}} Context */

/** @param {string} text @returns {any} @throws {SyntaxError} */
export function parseJson(text) {
  return LONG.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
}

/** @param {any} value as `parseJson` gives it @returns {string} */
export function writeJson(value) {
  return JSON.stringify(value, (_, each) =>
    typeof each === "bigint" ? /** @type {any} */ (JSON).rawJSON(String(each)) : each,
  );
}

/** @param {string} _ @param {any} value @param {Context} [context] */
function exact(_, value, context) {
  const isRounded = typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER;
  return isRounded && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context?.source ?? "") : value;
}
