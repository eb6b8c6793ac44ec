/** How far the live figures can be trusted, and in words why no further. */

import { clock } from "../format.js";
import { GAP_SECONDS } from "./series.js";

const UNREACHABLE_SECONDS = 10;

/** @typedef {"loading" | "live" | "stale" | "unreachable"} Status */
/**
 * @typedef {object} Circumstances
 * @property {"prometheus" | "server" | null} source who answered last
 * @property {number} since when it took over, in Unix seconds
 * @property {number} quiet seconds without an answer
 * @property {number} lag seconds that its newest sample is too old; infinite where it has none
 * @property {boolean} isHistoryLost whether what was before could not be read
 * @property {boolean} hasPrometheus whether there should be one
 * @property {import("../api.js").Problem | null} problem why Prometheus did not answer
 */

/** @param {Circumstances} circumstances @returns {Status} */
export function statusOf({ source, quiet, lag }) {
  if (quiet > UNREACHABLE_SECONDS) return "unreachable";
  if (!source) return "loading";
  return quiet > GAP_SECONDS || lag > 0 ? "stale" : "live";
}

/** Empty where all is as it should be. @param {Status} status @param {Circumstances} circumstances */
export function reasonOf(status, { source, since, quiet, lag, isHistoryLost, hasPrometheus, problem }) {
  if (status === "loading") return "";
  if (status === "unreachable") {
    return hasPrometheus
      ? "Neither Prometheus nor a server answers. Asking on."
      : "The server does not answer. Asking on.";
  }
  if (quiet > GAP_SECONDS) return "The last polls were not answered. Asking on.";
  if (lag === Infinity) return "Prometheus answers, but knows of no replica: does it scrape them?";
  if (lag > 0) return "Prometheus answers, but has no new samples: its scraping lags behind.";
  if (isHistoryLost) return "What was before could not be read. Asking again in 15 s.";
  if (source === "prometheus") return "";
  const scope = `these are the server's own numbers, since ${clock(since)}`;
  if (!hasPrometheus) return `There is no Prometheus here: ${scope}.`;
  const answered = problem?.status ? ` (${problem.status})` : "";
  return `Prometheus does not answer${answered}: ${scope}.`;
}
