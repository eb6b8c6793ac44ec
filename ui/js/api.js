/**
 * The server's routes and the shape of its errors. No other module knows an address.
 *
 * The same page is at `/` behind Nginx, with the server below `api/` and Prometheus beside it, and
 * at `/ui/` on the server itself, which has no Prometheus.
 */

import { apiKey, refused } from "./api_key.js";
import { parseJson } from "./json.js";

const isAlone = /\/ui\/(index\.html)?$/.test(location.pathname);

/** Where the server is. */
export const API = new URL(isAlone ? "../" : "api/", location.href.split("#")[0]).href;

/** Where Prometheus is, or null where there is none. */
export const PROMETHEUS = isAlone ? null : new URL("prometheus/", location.href.split("#")[0]).href;

const TIMEOUT_MS = 45_000; // longer than Nginx waits for a replica, so that its answer is the one seen

/**
 * An answer that is none, in the form of RFC 9457.
 *
 * `status` is 0 where nobody answered; `retryAfterSeconds` is null where a repeat makes no sense.
 */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, request_id?: string}} body
   * @param {number | null} retryAfterSeconds
   */
  constructor(status, body, retryAfterSeconds = null) {
    super(body.detail ?? `The answer was ${status}, without a reason.`);
    this.status = status;
    this.title = body.title ?? "Error";
    this.requestId = body.request_id ?? "";
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {Headers} headers
 * @property {any} body decoded JSON, or text
 * @property {number} seconds from the request to the last byte of the answer, as this browser saw it
 */

/**
 * @typedef {object} Options
 * @property {string} [body] JSON, already written
 * @property {string} [token] of the admin
 * @property {AbortSignal} [signal]
 * @property {boolean} [alone] no other request to this address is under way, so the browser's own record of it can be told
 */

/**
 * Ask, and give the answer; a Problem is thrown for all that is no success.
 *
 * @param {string} method
 * @param {string} url
 * @param {Options} [options]
 * @returns {Promise<Answer>}
 */
export async function ask(method, url, { body, token, signal, alone } = {}) {
  if (token && /[^\x20-\x7e]/.test(token))
    throw new Problem(0, {
      title: "Not a token",
      detail: "A header has room for plain letters, digits and signs alone.",
    });
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers["Authorization"] = `Bearer ${token}`;
  const { key } = apiKey.value;
  if (key && url.startsWith(API)) headers["X-API-Key"] = key; // not to Prometheus
  const limits = [AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])];
  if (alone) performance.clearResourceTimings(); // the record holds 250 and then takes no more
  const started = performance.now();
  let response, text;
  try {
    response = await fetch(url, { method, headers, body, signal: AbortSignal.any(limits), cache: "no-store" });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { title: "No answer", detail: "The service cannot be reached." });
  }
  const seconds = (alone && recorded(url, started)) || (performance.now() - started) / 1000;
  const content = decode(text, response.headers.get("Content-Type") ?? "");
  if (!response.ok) {
    if (response.status === 401 && token === undefined) refused(key);
    const told = typeof content === "object" && content !== null ? content : {};
    throw new Problem(response.status, told, retryAfter(response.headers));
  }
  return { status: response.status, headers: response.headers, body: content, seconds };
}

/**
 * Seconds on the wire, by the browser's record: without the milliseconds in which the page was busy.
 *
 * @param {string} url
 * @param {number} started by `performance.now()`
 */
function recorded(url, started) {
  const [entry, another] = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByName(url, "resource"));
  return entry && !another && entry.startTime >= started ? (entry.responseEnd - entry.startTime) / 1000 : 0;
}

/**
 * @param {string} text
 * @param {string} type
 */
function decode(text, type) {
  if (!type.includes("json")) return text;
  try {
    return parseJson(text);
  } catch {
    return text; // of somebody in between who is not as good as his word
  }
}

/** @param {Headers} headers */
function retryAfter(headers) {
  const text = headers.get("Retry-After") ?? "";
  return /^\d+$/.test(text) ? Number(text) : null;
}

/** `ranked` is false where any shape will do. @typedef {{name: string, dtype: string, shape: number[], ranked?: boolean}} TensorSpec */

/**
 * @typedef {object} Batching
 * @property {boolean} enabled
 * @property {string} mode
 * @property {string} verdict
 * @property {string} node
 * @property {string} reason
 * @property {boolean} disproved
 * @property {string} shared_answers
 * @property {{num_rows: number, seconds: number}[]} cost_curve
 */

/**
 * @typedef {object} Model
 * @property {string} model_name
 * @property {string} model_version
 * @property {string} model_type
 * @property {string} digest
 * @property {number[]} input_shape
 * @property {number | null} output_classes
 * @property {string[] | null} features
 * @property {string[] | null} class_names
 * @property {(number | string)[] | null} class_labels
 * @property {boolean} scores_by_class
 * @property {TensorSpec[]} inputs
 * @property {TensorSpec[]} outputs
 * @property {number} sessions
 * @property {Batching} batching
 * @property {boolean} cacheable
 * @property {number} load_seconds
 */

/** A list of an answer; a Problem where it has none. @param {any} list @returns {any[]} */
export function listed(list) {
  if (Array.isArray(list)) return list;
  const detail = "What answered is not the server: a proxy, or a page to log in?";
  throw new Problem(0, { title: "Not the server", detail });
}

/** @returns {Promise<Model[]>} */
export async function getModels() {
  return listed((await ask("GET", `${API}models`)).body?.models);
}

/** @param {string} token @returns {Promise<Model[]>} */
export async function reloadModels(token) {
  return listed((await ask("POST", `${API}models/reload`, { token })).body?.models);
}

/** Rows that a model takes. @param {string} model @returns {Promise<any[]>} */
export async function getSample(model) {
  return listed((await ask("GET", `${API}sample?model=${encodeURIComponent(model)}`)).body?.data);
}

/** Where predictions of a model are asked for. @param {string} model @param {boolean} batch */
export function predictUrl(model, batch) {
  return `${API}predict${batch ? "/batch" : ""}?model=${encodeURIComponent(model).replaceAll("'", "%27")}`;
}

/** Ask for one prediction, or one batch, and for no other meanwhile. @param {string} url @param {string} body */
export async function predict(url, body) {
  const answer = await ask("POST", url, { body, alone: true });
  listed(answer.body?.predictions ?? answer.body?.results);
  return answer;
}

/**
 * @typedef {object} Health
 * @property {"healthy" | "degraded" | "unhealthy"} status
 * @property {string} version
 * @property {number} uptime
 * @property {{name: string, status: "healthy" | "degraded" | "unhealthy", detail: string}[]} dependencies
 */

/** Health of the replica that happens to answer; a server that is not ready tells it with a 503. @returns {Promise<Health>} */
export async function getHealth() {
  const response = await fetch(`${API}health`, { cache: "no-store", signal: AbortSignal.timeout(5000) }).catch(
    () => null,
  );
  const body = response && decode(await response.text().catch(() => ""), response.headers.get("Content-Type") ?? "");
  if (body?.dependencies) return body;
  throw new Problem(response?.status ?? 0, body?.title ? body : { detail: "The service cannot be reached." });
}
