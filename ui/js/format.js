/** Numbers as people read them; null, and what is no number, is a dash: not known is not zero. */

export const UNKNOWN = "–";

/** @param {number | null | undefined} value */
export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Three digits that count. @param {number | null | undefined} value */
export function number(value) {
  if (!known(value)) return UNKNOWN;
  const amount = /** @type {number} */ (value);
  if (Math.abs(amount) >= 1000) return Math.round(amount).toLocaleString("en");
  return String(Number(amount.toPrecision(3)));
}

/** A duration of milliseconds or so. @param {number | null | undefined} value */
export function seconds(value) {
  if (!known(value)) return UNKNOWN;
  const amount = /** @type {number} */ (value);
  if (amount === 0) return "0 ms";
  if (amount < 0.001) return `${number(amount * 1e6)} µs`;
  if (amount < 1) return `${number(amount * 1e3)} ms`;
  return `${number(amount)} s`;
}

/** A ratio from 0 to 1. @param {number | null | undefined} value */
export function percent(value) {
  return known(value) ? `${number(/** @type {number} */ (value) * 100)} %` : UNKNOWN;
}

/** A probability, to a tenth of a percent. @param {number | null | undefined} value */
export function probability(value) {
  if (!known(value)) return UNKNOWN;
  const amount = /** @type {number} */ (value);
  return amount > 0 && amount < 0.0005 ? "< 0.1 %" : `${(amount * 100).toFixed(1)} %`;
}

/** How long something has run, in its two largest units. @param {number | null | undefined} value */
export function uptime(value) {
  if (!known(value)) return UNKNOWN;
  const whole = Math.max(0, Math.floor(/** @type {number} */ (value)));
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** @param {number} unixSeconds */
export function clock(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString("en-GB");
}

/** "1 row", "2 rows". @param {number} count @param {string} thing */
export function plural(count, thing) {
  return `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
}
