/** Many requests from this browser, so many at a time. Closed loop: the next goes out when one is answered. */

import { Problem, ask } from "../api.js";

/** Limits. A browser opens at most six connections to a server (HTTP/1.1); more would wait in the browser. */
export const MOST_REQUESTS = 5000;
export const MOST_AT_ONCE = 6;

/**
 * @typedef {object} Tally
 * @property {number} total to be sent
 * @property {number} done
 * @property {number} started by `performance.now()`
 * @property {number} seconds since the first was sent
 * @property {number[]} latencies seconds of each that was answered with a prediction
 * @property {Record<string, number>} statuses count by status; "no answer" where nobody gave one
 * @property {Record<string, number>} cacheStates count by `X-Cache`
 * @property {number | null} retryAfterSeconds of the last refusal
 */

export class Burst {
  /**
   * @param {string} url
   * @param {number} total
   * @param {number} atOnce
   */
  constructor(url, total, atOnce) {
    this.url = url;
    /** @type {string[]} */
    this.bodies = [];
    this.atOnce = Math.min(atOnce, MOST_AT_ONCE);
    this.next = 0;
    this.stopped = new AbortController();
    /** @type {Tally} */
    this.tally = {
      total: Math.min(total, MOST_REQUESTS),
      done: 0,
      started: 0,
      seconds: 0,
      latencies: [],
      statuses: {},
      cacheStates: {},
      retryAfterSeconds: null,
    };
  }

  /** Send all, or until stopped. @param {string[]} bodies sent in turn @returns {Promise<Tally>} */
  async run(bodies) {
    this.bodies = bodies;
    this.tally.started = performance.now();
    await Promise.all(Array.from({ length: this.atOnce }, () => this.sendInTurn()));
    return this.tally;
  }

  /** Send no more; what is under way is given up, and not counted. */
  stop() {
    this.stopped.abort();
  }

  async sendInTurn() {
    while (!this.stopped.signal.aborted && this.next < this.tally.total) {
      await this.sendOne(this.bodies[this.next++ % this.bodies.length]);
    }
  }

  /** @param {string} body */
  async sendOne(body) {
    const { tally } = this;
    try {
      const answer = await ask("POST", this.url, { body, signal: this.stopped.signal });
      tally.latencies.push(answer.seconds);
      count(tally.statuses, String(answer.status));
      count(tally.cacheStates, answer.headers.get("X-Cache") ?? "not told");
    } catch (error) {
      if (this.stopped.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      count(tally.statuses, error.status ? String(error.status) : "no answer");
      tally.retryAfterSeconds = error.retryAfterSeconds ?? tally.retryAfterSeconds;
    }
    tally.done += 1;
    tally.seconds = (performance.now() - tally.started) / 1000;
  }
}

/** @param {Record<string, number>} counts @param {string} name */
function count(counts, name) {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** The value that a share of all values does not exceed; null of none. @param {number[]} values @param {number} share */
export function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/**
 * Count values in bins that grow by a fifth of a decade each.
 *
 * @param {number[]} values seconds
 * @returns {{from: number, to: number, count: number}[]} without gaps, from the least to the most
 */
export function histogram(values) {
  if (!values.length) return [];
  const BINS = 5; // a decade
  const binOf = (/** @type {number} */ value) => Math.floor(Math.log10(Math.max(value, 1e-6)) * BINS);
  const bins = values.map(binOf);
  const first = bins.reduce((a, b) => Math.min(a, b));
  const last = bins.reduce((a, b) => Math.max(a, b));
  const counted = Array.from({ length: last - first + 1 }, (_, index) => ({
    from: 10 ** ((first + index) / BINS),
    to: 10 ** ((first + index + 1) / BINS),
    count: 0,
  }));
  for (const bin of bins) counted[bin - first].count += 1;
  return counted;
}
