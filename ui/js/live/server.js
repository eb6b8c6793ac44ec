/**
 * The numbers of the server itself, for where there is no Prometheus: since this page was opened.
 *
 * Behind Nginx each poll is answered by another replica. Rates are taken between polls of the same
 * one, and added up over those that answered of late.
 */

import { Problem } from "../api.js";
import { parse } from "./exposition.js";
import { POLL_SECONDS, append, blank, forget, since, stepOf, thin, unknown } from "./series.js";
import { get } from "./source.js";
import { count, derive, rate, sum } from "./totals.js";

const TIMEOUT_MS = 3_000;
const WINDOW_SECONDS = 10; // over which rates are taken
const LATE_SECONDS = 15; // a replica that has not answered for so long is not counted
const KEPT_SECONDS = 21_600; // the longest range

/** @typedef {import("./exposition.js").Metric} Metric */
/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./totals.js").Totals} Totals */
/** @typedef {{time: number, started: number, metrics: Metric[], totals: Totals}} Poll */

/** @implements {Source} */
export class ServerSource {
  name = /** @type {const} */ ("server");
  #base;
  #history = blank([]);
  /** The polls of the window, oldest first. @type {Map<string, Poll[]>} */
  #polls = new Map();

  /** @param {string} base */
  constructor(base) {
    this.#base = base;
  }

  /** @returns {Promise<import("./source.js").Snapshot>} */
  async now() {
    const metrics = parse(String(await get(`${this.#base}metrics`, TIMEOUT_MS)));
    const name = find(metrics, "ml_api_info")?.labels.replica;
    if (!name) throw new Problem(0, { title: "No numbers", detail: "What answered is not the server." });
    const time = Date.now() / 1000;
    const started = valueOf(metrics, "process_start_time_seconds") ?? 0;
    this.#keep(name, { time, started, metrics, totals: count(metrics) });
    const values = valuesOf([...this.#polls.values()]);
    append(this.#history, time, values);
    forget(this.#history, time - KEPT_SECONDS);
    const replicas = [...this.#polls].sort().map(([instance, polls]) => toReplica(instance, polls, time));
    return { at: time, lag: 0, values, replicas };
  }

  /** @param {number} range */
  async history(range) {
    const step = stepOf(range);
    const found = since(this.#history, Date.now() / 1000 - range);
    return step > POLL_SECONDS ? thin(found, step) : found;
  }

  /** @param {string} name @param {Poll} poll */
  #keep(name, poll) {
    const polls = this.#polls.get(name) ?? [];
    const last = polls.at(-1);
    const isRestarted = last && (last.started !== poll.started || !rate(last.totals, poll.totals, 1));
    const kept = isRestarted ? [poll] : [...polls, poll];
    while (kept.length > 2 && kept[1].time <= poll.time - WINDOW_SECONDS) kept.shift();
    this.#polls.set(name, kept);
    for (const [other, itsPolls] of this.#polls) {
      if (newest(itsPolls).time < poll.time - LATE_SECONDS) this.#polls.delete(other);
    }
  }
}

/** Of all replicas together. @param {Poll[][]} pollsOfReplicas */
function valuesOf(pollsOfReplicas) {
  const rates = pollsOfReplicas.map(ratesOf).filter((found) => found !== null);
  const values = rates.length ? derive(sum(rates)) : unknown();
  const waiting = pollsOfReplicas
    .flatMap((polls) => newest(polls).metrics)
    .filter(({ name }) => name === "ml_api_queue_depth_rows");
  values.queueRows = waiting.reduce((rows, { value }) => rows + value, 0);
  return values;
}

/** Null of a replica that was asked once. @param {Poll[]} polls */
function ratesOf(polls) {
  const [first, last] = [polls[0], newest(polls)];
  return last.time > first.time ? rate(first.totals, last.totals, last.time - first.time) : null;
}

/**
 * @param {string} instance
 * @param {Poll[]} polls
 * @param {number} time
 * @returns {import("./source.js").Replica}
 */
function toReplica(instance, polls, time) {
  const { metrics, started } = newest(polls);
  const rates = ratesOf(polls);
  const { requests, errors, p95 } = rates ? derive(rates) : unknown();
  return {
    instance,
    up: true,
    version: find(metrics, "ml_api_info")?.labels.version ?? "",
    uptime: started ? Math.max(0, time - started) : null,
    requests,
    errors,
    p95,
    behind: valueOf(metrics, "ml_api_reload_behind") === 1,
    models: metrics
      .filter(({ name }) => name === "ml_api_model_info")
      .map(({ labels: { model, version, digest } }) => ({ model, version, digest })),
  };
}

/** @param {Poll[]} polls */
function newest(polls) {
  return polls[polls.length - 1];
}

/** @param {Metric[]} metrics @param {string} name */
function find(metrics, name) {
  return metrics.find((metric) => metric.name === name);
}

/** @param {Metric[]} metrics @param {string} name */
function valueOf(metrics, name) {
  return find(metrics, name)?.value ?? null;
}
