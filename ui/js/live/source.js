/** What Prometheus and the server itself are to the dashboard: each is a Source. */

import { Problem, ask } from "../api.js";

/**
 * @typedef {object} Replica
 * @property {string} instance
 * @property {boolean} up
 * @property {string} version empty where it is not known
 * @property {number | null} uptime seconds
 * @property {number | null} requests per second
 * @property {number | null} errors per second
 * @property {number | null} p95 seconds
 * @property {boolean} behind it serves other models than another replica announced
 * @property {{model: string, version: string, digest: string}[]} models
 */

/**
 * `at` is Unix seconds of this browser's clock; `lag` is how many seconds the newest number is older
 * than it should be, 0 if it is not.
 *
 * @typedef {{at: number, lag: number, values: import("./series.js").Values, replicas: Replica[]}} Snapshot
 */

/**
 * Both methods throw a Problem where there is no answer.
 *
 * @typedef {object} Source
 * @property {"prometheus" | "server"} name
 * @property {() => Promise<Snapshot>} now
 * @property {(range: number) => Promise<import("./series.js").History>} history of the last seconds
 */

/**
 * Get a body; one that is late is a Problem like any other.
 *
 * @param {string} url
 * @param {number} timeoutMs
 */
export async function get(url, timeoutMs) {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return (await ask("GET", url, { signal })).body;
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Problem(0, { title: "No answer", detail: `No answer within ${timeoutMs / 1000} s.` });
  }
}
