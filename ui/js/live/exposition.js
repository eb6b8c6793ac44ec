/** The text format in which Prometheus reads metrics. */

/** @typedef {{name: string, labels: Record<string, string>, value: number}} Metric */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? +(\S+)(?: +-?\d+)?$/; // the last is a time stamp
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = /\\(.)/g;

/** All samples of a text; lines that are none, like comments, are passed over. @param {string} text @returns {Metric[]} */
export function parse(text) {
  const metrics = [];
  for (const line of text.split("\n")) {
    const found = line.match(LINE);
    if (!found) continue;
    const [, name, labels = "", value] = found;
    metrics.push({ name, labels: parseLabels(labels), value: parseValue(value) });
  }
  return metrics;
}

/** @param {string} text */
function parseLabels(text) {
  /** @type {Record<string, string>} */
  const labels = {};
  for (const [, name, value] of text.matchAll(LABEL)) {
    labels[name] = value.replace(ESCAPED, (_, letter) => (letter === "n" ? "\n" : letter));
  }
  return labels;
}

/** @param {string} text */
function parseValue(text) {
  return Number(text.replace(/^([+-]?)Inf$/, "$1Infinity"));
}
