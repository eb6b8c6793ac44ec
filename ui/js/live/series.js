/** The series of the dashboard, and points of them in time. Null is not known: a gap, never zero. */

/**
 * Requests, errors and refused are per second; p50 to p99, runMean and runP95 seconds; l1, redis and
 * coalesced shares from 0 to 1; batchRows and queueRows rows.
 */
export const NAMES = /** @type {const} */ ([
  "requests", "errors", "refused", "p50", "p95", "p99", "l1", "redis", "coalesced",
  "batchRows", "queueRows", "runMean", "runP95",
]); // prettier-ignore

export const POLL_SECONDS = 2;
export const GAP_SECONDS = 6; // points further apart have an outage between them, or a sleep
const POINTS = 150; // of a range: about one for each 2 pixels of a chart

/** @typedef {typeof NAMES[number]} SeriesName */
/** @typedef {Record<SeriesName, number | null>} Values */
/** @typedef {{times: number[], values: Record<SeriesName, (number | null)[]>}} History */

/** @returns {Values} */
export function unknown() {
  return byName(() => null);
}

/** A history with nothing known at its times. @param {number[]} times @returns {History} */
export function blank(times) {
  return { times, values: byName(() => times.map(() => /** @type {number | null} */ (null))) };
}

/** Seconds between two points. @param {number} range seconds */
export function stepOf(range) {
  return range / POINTS;
}

/**
 * Add the newest point; after an outage a point before it of which nothing is known, so that no line
 * is drawn across. One that is not newer than the last is left out.
 *
 * @param {History} history
 * @param {number} time
 * @param {Values} values
 */
export function append(history, time, values) {
  const last = history.times.at(-1) ?? time - 1;
  if (time <= last) return;
  if (time - last > GAP_SECONDS) push(history, last + POLL_SECONDS, unknown());
  push(history, time, values);
}

/** Forget what was before. @param {History} history @param {number} start */
export function forget({ times, values }, start) {
  const count = times.findIndex((time) => time >= start);
  if (count <= 0) return;
  times.splice(0, count);
  for (const name of NAMES) values[name].splice(0, count);
}

/** A copy. @param {History} history @param {number} start @returns {History} */
export function since({ times, values }, start) {
  const first = times.findIndex((time) => time >= start);
  const from = first < 0 ? times.length : first;
  return { times: times.slice(from), values: byName((name) => values[name].slice(from)) };
}

/** One after the other. @param {History} before @param {History} after @returns {History} */
export function concat(before, after) {
  return {
    times: [...before.times, ...after.times],
    values: byName((name) => [...before.values[name], ...after.values[name]]),
  };
}

/**
 * A copy with one point a step: the mean of what is known in it, null where nothing is.
 *
 * @param {History} history
 * @param {number} step seconds
 * @returns {History}
 */
export function thin({ times, values }, step) {
  const first = Math.floor((times[0] ?? 0) / step);
  /** @type {number[][]} the indices of the points in each step */
  const steps = [];
  times.forEach((time, index) => (steps[Math.floor(time / step) - first] ??= []).push(index));
  const members = Array.from(steps, (indices) => indices ?? []);
  return {
    times: members.map((_, index) => (first + index) * step),
    values: byName((name) => members.map((indices) => mean(indices.map((index) => values[name][index])))),
  };
}

/** @param {(number | null)[]} values */
function mean(values) {
  const found = values.filter((value) => value !== null);
  return found.length ? found.reduce((total, value) => total + value, 0) / found.length : null;
}

/** @param {History} history @param {number} time @param {Values} values */
function push(history, time, values) {
  history.times.push(time);
  for (const name of NAMES) history.values[name].push(values[name]);
}

/** @template T @param {(name: SeriesName) => T} make @returns {Record<SeriesName, T>} */
function byName(make) {
  return /** @type {Record<SeriesName, T>} */ (Object.fromEntries(NAMES.map((name) => [name, make(name)])));
}
