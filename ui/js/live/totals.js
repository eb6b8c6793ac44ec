/**
 * What is counted at one moment by one server, or a second, or by all of them: a number by a short name.
 *
 * Differences and sums of totals are totals; the series of the dashboard are made from those of a second.
 */

import { unknown } from "./series.js";

/** Buckets are `duration:LE` and `run:LE`. @typedef {Map<string, number>} Totals */

/** @type {Record<string, string>} */
const SUMS = {
  ml_api_batch_rows_sum: "rows",
  ml_api_batch_rows_count: "batches",
  ml_api_run_seconds_sum: "runSeconds",
  ml_api_run_seconds_count: "runs",
};

/** @param {import("./exposition.js").Metric[]} metrics @returns {Totals} */
export function count(metrics) {
  /** @type {Totals} */
  const totals = new Map();
  for (const { name, labels, value } of metrics) {
    for (const key of keysOf(name, labels)) totals.set(key, (totals.get(key) ?? 0) + value);
  }
  return totals;
}

/** @param {string} name @param {Record<string, string>} labels */
function keysOf(name, { endpoint = "", status = "", result = "", le = "" }) {
  const isPrediction = endpoint.startsWith("/predict");
  if (name in SUMS) return [SUMS[name]];
  if (name === "ml_api_run_seconds_bucket") return [`run:${le}`];
  if (name === "ml_api_request_duration_seconds_bucket") return isPrediction ? [`duration:${le}`] : [];
  if (name === "ml_api_cache_requests_total") return result === "bypass" ? [] : ["lookups", result];
  if (name !== "ml_api_requests_total" || !isPrediction) return [];
  if (status === "503") return ["requests", "refused"];
  return status.startsWith("5") ? ["requests", "errors"] : ["requests"];
}

/** Per second; null where something has become less, as at a restart. @param {Totals} before @param {Totals} after @param {number} seconds */
export function rate(before, after, seconds) {
  /** @type {Totals} */
  const rates = new Map();
  for (const [key, value] of after) {
    const grown = value - (before.get(key) ?? 0);
    if (grown < 0) return null;
    rates.set(key, grown / seconds);
  }
  return rates;
}

/** @param {Totals[]} all @returns {Totals} */
export function sum(all) {
  /** @type {Totals} */
  const totals = new Map();
  for (const one of all) {
    for (const [key, value] of one) totals.set(key, (totals.get(key) ?? 0) + value);
  }
  return totals;
}

/** @param {Totals} rates @returns {import("./series.js").Values} */
export function derive(rates) {
  const of = (/** @type {string} */ key) => rates.get(key) ?? 0;
  const share = (/** @type {string} */ key) => ratio(of(key), of("lookups"));
  return {
    ...unknown(),
    requests: of("requests"),
    errors: of("errors"),
    refused: of("refused"),
    p50: quantile(0.5, rates, "duration:"),
    p95: quantile(0.95, rates, "duration:"),
    p99: quantile(0.99, rates, "duration:"),
    l1: share("l1"),
    redis: share("redis"),
    coalesced: share("coalesced"),
    batchRows: ratio(of("rows"), of("batches")),
    runMean: ratio(of("runSeconds"), of("runs")),
    runP95: quantile(0.95, rates, "run:"),
  };
}

/** @param {number} part @param {number} whole */
function ratio(part, whole) {
  return whole > 0 ? part / whole : null;
}

/**
 * Linear within a bucket, and at most the largest bound there is, as Prometheus' histogram_quantile.
 *
 * @param {number} q
 * @param {Totals} totals
 * @param {string} prefix of the buckets
 */
function quantile(q, totals, prefix) {
  const buckets = [...totals]
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, value]) => ({ bound: Number(key.slice(prefix.length).replace("+Inf", "Infinity")), value }))
    .sort((one, other) => one.bound - other.bound);
  const rank = q * (buckets[buckets.length - 1]?.value ?? 0);
  if (rank <= 0) return null;
  const index = buckets.findIndex(({ value }) => value >= rank);
  const { bound, value } = buckets[index];
  const below = buckets[index - 1] ?? { bound: 0, value: 0 };
  if (bound === Infinity) return below.bound;
  return below.bound + ((bound - below.bound) * (rank - below.value)) / (value - below.value);
}
