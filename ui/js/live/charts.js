/** What each chart shows. */

import { number, percent, seconds } from "../format.js";

/**
 * @typedef {object} ChartSpec
 * @property {string} title
 * @property {string} unit
 * @property {string} caption what is counted
 * @property {(value: number | null) => string} text
 * @property {number} top of the axis where nothing is more
 * @property {{name: import("./series.js").SeriesName, label: string, colour: number}[]} series `colour` is N of --series-N
 */

/** @type {ChartSpec[]} */
export const CHARTS = [
  {
    title: "Requests",
    unit: "per second",
    caption:
      "POST /predict and /predict/batch, with whatever status; the mean of 10 s, or of the time between two points.",
    text: number,
    top: 0,
    series: [{ name: "requests", label: "requests", colour: 1 }],
  },
  {
    title: "Latency",
    unit: "seconds",
    caption: "From a request's head to its answer, in the server: as fast or faster were half, 95 %, 99 %.",
    text: seconds,
    top: 0,
    series: [
      { name: "p50", label: "p50", colour: 1 },
      { name: "p95", label: "p95", colour: 2 },
      { name: "p99", label: "p99", colour: 3 },
    ],
  },
  {
    title: "Errors and refusals",
    unit: "per second",
    caption: "Errors: every 5xx but 503. Refused: 503, overloaded or not ready. The 429 of Nginx are not in it.",
    text: number,
    top: 0,
    series: [
      { name: "errors", label: "errors", colour: 5 },
      { name: "refused", label: "refused", colour: 2 },
    ],
  },
  {
    title: "Cache hits",
    unit: "share of look-ups",
    caption: "Answered from memory, from Redis, or with an equal request under way; the rest were run.",
    text: percent,
    top: 1,
    series: [
      { name: "l1", label: "memory", colour: 4 },
      { name: "redis", label: "Redis", colour: 1 },
      { name: "coalesced", label: "coalesced", colour: 3 },
    ],
  },
  {
    title: "Rows a run",
    unit: "rows, mean",
    caption: "How many rows a model gets at once: more than the requests bring means that batching works.",
    text: number,
    top: 0,
    series: [{ name: "batchRows", label: "rows", colour: 4 }],
  },
  {
    title: "Rows waiting",
    unit: "rows",
    caption: "In the queues of all models and replicas, at the moment of asking.",
    text: number,
    top: 0,
    series: [{ name: "queueRows", label: "rows", colour: 2 }],
  },
  {
    title: "Run time",
    unit: "seconds",
    caption: "One run of a model, however many rows it has.",
    text: seconds,
    top: 0,
    series: [
      { name: "runMean", label: "mean", colour: 1 },
      { name: "runP95", label: "p95", colour: 2 },
    ],
  },
];
