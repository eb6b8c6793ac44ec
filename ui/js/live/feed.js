/** Asks for the live figures every 2 s while the page is seen, and tells those who subscribe. */

import { API, PROMETHEUS, Problem } from "../api.js";
import { PrometheusSource } from "./prometheus.js";
import { GAP_SECONDS, POLL_SECONDS, append, blank, concat, forget, since, stepOf, unknown } from "./series.js";
import { ServerSource } from "./server.js";
import { reasonOf, statusOf } from "./status.js";

const RETRY_SECONDS = 15; // between attempts to reach a Prometheus that did not answer
const FAILURES = 2; // in a row: one lost answer is no outage

/** @typedef {import("./series.js").SeriesName} SeriesName @typedef {import("./source.js").Replica} Replica */
/** @typedef {import("./source.js").Source} Source */
/**
 * `at` is when the newest numbers came, in Unix seconds of this browser; `reason` says in words what
 * is not as it should be, and is empty otherwise; `range` is in seconds.
 *
 * @typedef {object} LiveState
 * @property {"prometheus" | "server" | null} source null until the first answer
 * @property {"loading" | "live" | "stale" | "unreachable"} status
 * @property {string} reason
 * @property {number | null} at
 * @property {number} range
 * @property {import("./series.js").History} history
 * @property {import("./series.js").Values} now
 * @property {Replica[]} replicas
 */

export class LiveFeed {
  /** @type {LiveState} */
  state = {
    source: null, status: "loading", reason: "", at: null, range: 300,
    history: blank([]), now: unknown(), replicas: [],
  }; // prettier-ignore

  #prometheus = PROMETHEUS === null ? null : new PrometheusSource(PROMETHEUS);
  #server = new ServerSource(API);
  /** @type {Set<(state: LiveState) => void>} */
  #listeners = new Set();
  #timer = 0;
  /** The poll under way. @type {Promise<void> | null} */
  #polling = null;
  #range = 300;
  /** The history under way. @type {Promise<void> | null} */
  #reading = null;
  /** Who answered last. @type {Source | null} */
  #source = null;
  /** @type {import("./source.js").Snapshot | null} */
  #snapshot = null;
  #history = blank([]);
  #historyDue = 0; // when it is to be read anew, as are all times here in Unix seconds
  #isHistoryLost = false;
  #quietSince = 0; // since then nobody has answered, though asked
  #sourceSince = 0;
  #prometheusDue = 0;
  #failures = 0;
  /** Why Prometheus did not answer. @type {Problem | null} */
  #problem = null;

  start() {
    document.addEventListener("visibilitychange", this.#watch);
    this.#watch();
  }

  /** @param {300 | 3600 | 21600} seconds */
  setRange(seconds) {
    this.#range = seconds;
    this.#historyDue = 0;
    this.#publish();
    void this.refresh();
  }

  /**
   * Call a listener now and after each poll.
   *
   * @param {(state: LiveState) => void} listener
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    listener(this.state);
    return () => void this.#listeners.delete(listener);
  }

  /** Poll at once, after one that is under way: it may have begun too early. */
  async refresh() {
    await this.#polling;
    await this.#poll();
  }

  /** Nobody looks at a hidden tab; what it missed is read when it is shown again. */
  #watch = () => {
    clearInterval(this.#timer);
    if (document.hidden) return;
    this.#quietSince = clock();
    this.#timer = setInterval(() => this.#tick(), POLL_SECONDS * 1000);
    void this.refresh();
  };

  #tick() {
    if (this.#polling)
      this.#publish(); // that it takes long is to be seen
    else void this.#poll();
  }

  #poll() {
    this.#polling ??= this.#askSources().finally(() => {
      this.#polling = null;
      this.#publish();
    });
    return this.#polling;
  }

  async #askSources() {
    if (this.#prometheus && clock() >= this.#prometheusDue) {
      this.#problem = await this.#ask(this.#prometheus);
      this.#failures = this.#problem ? this.#failures + 1 : 0;
      if (!this.#problem) return;
      if (this.#source === this.#prometheus && this.#failures < FAILURES) return;
      this.#prometheusDue = clock() + RETRY_SECONDS;
    }
    const problem = await this.#ask(this.#server);
    if (problem) this.#prometheusDue = 0; // nobody is left: whoever is back first is welcome
  }

  /** @param {Source} source @returns {Promise<Problem | null>} why it did not answer */
  async #ask(source) {
    try {
      const snapshot = await source.now();
      const isOther = source !== this.#source;
      const isGap = snapshot.at - (this.#snapshot?.at ?? 0) > GAP_SECONDS;
      if (isOther) this.#sourceSince = snapshot.at;
      this.#source = source;
      this.#snapshot = snapshot;
      this.#quietSince = snapshot.at;
      if (isOther) this.#history = blank([]);
      if (isOther || isGap) this.#historyDue = 0;
      if (snapshot.at >= this.#historyDue) this.#beginHistory(source, snapshot.at);
      append(this.#history, snapshot.at, snapshot.values);
      forget(this.#history, snapshot.at - this.#range);
      return null;
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  }

  /** Beside the polls, because a long range may take a busy Prometheus longer than a poll. @param {Source} source @param {number} at */
  #beginHistory(source, at) {
    this.#reading ??= this.#readHistory(source, at).finally(() => {
      this.#reading = null;
      this.#publish();
    });
  }

  /** Long ranges are read anew each step, short ones grow by what is polled. @param {Source} source @param {number} at */
  async #readHistory(source, at) {
    const range = this.#range;
    const step = stepOf(range);
    try {
      const history = await source.history(range);
      if (range !== this.#range || source !== this.#source) return void (this.#historyDue = 0); // others are read next
      const polled = since(this.#history, (history.times.at(-1) ?? at) + POLL_SECONDS / 2); // meanwhile
      this.#history = concat(history, polled);
      this.#historyDue = step > POLL_SECONDS ? at + step : Infinity;
      this.#isHistoryLost = false;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#historyDue = at + RETRY_SECONDS; // what is known now is known all the same
      this.#isHistoryLost = true;
    }
  }

  #publish() {
    const { at = null, lag = 0, values = unknown(), replicas = [] } = this.#snapshot ?? {};
    const source = this.#source?.name ?? null;
    const circumstances = {
      source,
      since: this.#sourceSince,
      quiet: clock() - this.#quietSince,
      lag,
      isHistoryLost: this.#isHistoryLost,
      hasPrometheus: this.#prometheus !== null,
      problem: this.#problem,
    };
    const status = statusOf(circumstances);
    const reason = reasonOf(status, circumstances);
    const known = status === "unreachable" ? { now: unknown(), replicas: [] } : { now: values, replicas };
    this.state = { source, status, reason, at, range: this.#range, history: this.#history, ...known };
    for (const listener of this.#listeners) listener(this.state);
  }
}

function clock() {
  return Date.now() / 1000;
}
