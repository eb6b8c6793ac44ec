/** The numbers of all replicas, from Prometheus: with a history from before this page was opened. */

import { Problem } from "../api.js";
import { replicasExpression, seriesExpression } from "./expressions.js";
import { NAMES, POLL_SECONDS, blank, stepOf, unknown } from "./series.js";
import { get } from "./source.js";

const NOW_TIMEOUT_MS = 3_000; // and a pause of 2 s: too short to count as an outage
const HISTORY_TIMEOUT_MS = 12_000; // longer than Prometheus' own limit of 10 s
const USUAL_INTERVAL = 5; // seconds between scrapes, until it is known
const LAST_SCRAPES = 'up{job="api"}[1m]';

/** @typedef {import("./source.js").Snapshot} Snapshot */
/** @typedef {import("./source.js").Replica} Replica */
/** @typedef {import("./source.js").Source} Source */
/** A number at a time. @typedef {[time: number, value: string]} Point */
/** @typedef {{metric: Record<string, string>, value: Point}} Sample */
/** @typedef {{metric: Record<string, string>, values: Point[]}} Samples */

/** @implements {Source} */
export class PrometheusSource {
  name = /** @type {const} */ ("prometheus");
  #base;
  /** Seconds between scrapes. @type {number | null} */
  #interval = null;
  /** Seconds that Prometheus' clock is ahead of this browser's. */
  #skew = 0;

  /** @param {string} base */
  constructor(base) {
    this.#base = base;
  }

  /** @returns {Promise<Snapshot>} */
  async now() {
    this.#interval ??= await this.#measureInterval();
    const window = this.#window(0);
    const [series, fields] = await Promise.all([
      this.#ask("query", { query: seriesExpression(window) }, NOW_TIMEOUT_MS),
      this.#ask("query", { query: replicasExpression(window) }, NOW_TIMEOUT_MS),
    ]);
    const values = unknown();
    for (const name of NAMES) values[name] = finite(labelled(series, "series", name)[0]?.value[1]);
    this.#compareClocks(fields[0]?.value[0]);
    return { at: Date.now() / 1000, lag: this.#lag(fields), values, replicas: toReplicas(fields) };
  }

  /** @param {number} range */
  async history(range) {
    const step = stepOf(range);
    const end = Math.floor((Date.now() / 1000 + this.#skew) / step) * step; // on a grid, so that points stay when it moves
    const start = end - range;
    const query = seriesExpression(this.#window(step));
    /** @type {Samples[]} */
    const found = await this.#ask("query_range", { query, start, end, step }, HISTORY_TIMEOUT_MS);
    const count = Math.round(range / step) + 1;
    const history = blank(Array.from({ length: count }, (_, index) => start + index * step - this.#skew));
    for (const name of NAMES) {
      for (const [time, text] of labelled(found, "series", name)[0]?.values ?? []) {
        history.values[name][Math.round((time - start) / step)] = finite(text);
      }
    }
    return history;
  }

  /** How old the newest sample is, where that is too old; infinite where there is none. @param {Sample[]} fields */
  #lag(fields) {
    const ages = labelled(fields, "field", "sampled").map(({ value: [asked, sampledAt] }) => asked - Number(sampledAt));
    const age = Math.min(...ages);
    return age > 3 * (this.#interval ?? USUAL_INTERVAL) + POLL_SECONDS ? age : 0;
  }

  /** What they differ less is the way of the answer. @param {number | undefined} asked by Prometheus' clock */
  #compareClocks(asked) {
    if (asked === undefined) return;
    const ahead = asked - Date.now() / 1000;
    if (Math.abs(ahead - this.#skew) >= 2) this.#skew = Math.round(ahead);
  }

  /** Rates need some scrapes to be taken over. @param {number} step */
  #window(step) {
    return Math.max(step, 5 * (this.#interval ?? USUAL_INTERVAL));
  }

  /** @returns {Promise<number | null>} */
  async #measureInterval() {
    /** @type {Samples[]} */
    const found = await this.#ask("query", { query: LAST_SCRAPES }, NOW_TIMEOUT_MS);
    const distances = found
      .flatMap(({ values }) => values.slice(1).map(([time], index) => time - values[index][0]))
      .sort((one, other) => one - other);
    return distances.length ? distances[Math.floor(distances.length / 2)] : null;
  }

  /**
   * @param {"query" | "query_range"} route
   * @param {Record<string, string | number>} parameters
   * @param {number} timeoutMs
   * @returns {Promise<any[]>}
   */
  async #ask(route, parameters, timeoutMs) {
    const texts = Object.entries(parameters).map(([name, value]) => [name, String(value)]);
    const body = await get(`${this.#base}api/v1/${route}?${new URLSearchParams(texts)}`, timeoutMs);
    if (!Array.isArray(body?.data?.result)) {
      throw new Problem(0, { title: "No numbers", detail: "What answered is not Prometheus." });
    }
    return body.data.result;
  }
}

/** @param {Sample[]} samples @returns {Replica[]} */
function toReplicas(samples) {
  const instances = labelled(samples, "field", "up").map(({ metric }) => metric.instance);
  return instances.sort().map((instance) => toReplica(instance, labelled(samples, "instance", instance)));
}

/** @param {string} instance @param {Sample[]} samples @returns {Replica} */
function toReplica(instance, samples) {
  const up = labelled(samples, "field", "up")[0].value[1] === "1";
  const current = up ? samples : []; // of one that is down Prometheus has what was before, for up to 5 minutes
  const value = (/** @type {string} */ field) => finite(labelled(current, "field", field)[0]?.value[1]);
  return {
    instance,
    up,
    version: labelled(current, "field", "version")[0]?.metric.version ?? "",
    uptime: value("uptime"),
    requests: value("requests"),
    errors: value("errors"),
    p95: value("p95"),
    behind: value("behind") === 1,
    models: labelled(current, "field", "model").map(({ metric: { model, version, digest } }) => ({
      model,
      version,
      digest,
    })),
  };
}

/**
 * @template {{metric: Record<string, string>}} T
 * @param {T[]} samples
 * @param {string} label
 * @param {string} value
 */
function labelled(samples, label, value) {
  return samples.filter(({ metric }) => metric[label] === value);
}

/** NaN is Prometheus' answer to 0 / 0. @param {string | undefined} text */
function finite(text) {
  const value = Number(text ?? NaN);
  return Number.isFinite(value) ? value : null;
}
