/** Small charts of things that are no time series, drawn by uPlot. */

import { h } from "./dom.js";
import * as format from "./format.js";
import { Palette } from "./palette.js";

const HEIGHT = 200;
const LABEL_PX = 90;

/** A bar a bin of seconds. @param {{from: number, to: number, count: number}[]} bins @param {string} what that is counted */
export function barPlot(bins, what) {
  const places = bins.map((_, index) => index);
  const label = `${format.seconds(bins[0].from)} to ${format.seconds(bins[bins.length - 1].to)}; most ${what}: ${Math.max(...bins.map((bin) => bin.count))}`;
  return plot(label, [places, bins.map((bin) => bin.count)], (colours) => ({
    scales: { x: { time: false, range: [-0.6, bins.length - 0.4] }, y: { range: (_, __, top) => [0, top * 1.05] } },
    axes: [
      {
        ...axis(colours),
        splits: () => places,
        values: ({ width }) => {
          const every = Math.ceil((bins.length * LABEL_PX) / width); // as many as there is room for
          return bins.map((bin, index) => (index % every ? "" : `< ${format.seconds(bin.to)}`));
        },
        grid: { show: false },
      },
      { ...axis(colours), size: 60 },
    ],
    series: [
      {},
      {
        fill: () => colours.get("--series-1"),
        stroke: () => colours.get("--series-1"),
        paths: uPlot.paths.bars?.({ size: [0.9] }),
        points: { show: false },
      },
    ],
  }));
}

/** Seconds of a run by its rows. @param {{num_rows: number, seconds: number}[]} samples */
export function costPlot(samples) {
  const told = samples.map((sample) => `${format.plural(sample.num_rows, "row")}: ${format.seconds(sample.seconds)}`);
  return plot(told.join(", "), [samples.map((s) => s.num_rows), samples.map((s) => s.seconds)], (colours) => ({
    scales: { x: { time: false, distr: 3, log: 2 }, y: { range: (_, __, top) => [0, top * 1.1] } },
    axes: [
      { ...axis(colours), label: "rows in a run", labelSize: 24 },
      { ...axis(colours), size: 76, values: (_, splits) => splits.map(format.seconds) },
    ],
    series: [
      {},
      {
        stroke: () => colours.get("--series-1"),
        width: 2,
        points: { show: true, fill: () => colours.get("--series-1") },
      },
    ],
  }));
}

/** @param {Palette} colours */
function axis(colours) {
  const line = { stroke: () => colours.get("--border"), width: 1 };
  return { stroke: () => colours.get("--muted"), grid: line, ticks: line };
}

/** Those that are drawn, to be drawn anew in other colours. @type {Set<uPlot>} */
const drawn = new Set();
/** @type {Palette | undefined} */
let palette;

/**
 * @param {string} label what a screen reader says
 * @param {uPlot.AlignedData} data
 * @param {(colours: Palette) => Omit<uPlot.Options, "width" | "height">} options
 */
function plot(label, data, options) {
  if (typeof uPlot === "undefined") return h("p", { class: "muted" }, label); // its files are not installed
  forgetOld();
  palette ??= new Palette(document.body, recolour);
  const all = { legend: { show: false }, cursor: { show: false }, ...options(palette) };
  const frame = h("div", { class: "plot", role: "img", "aria-label": label });
  /** @type {uPlot | undefined} */
  let made;
  new ResizeObserver(
    ([
      {
        contentRect: { width },
      },
    ]) => {
      if (!width) return;
      if (made) made.setSize({ width, height: HEIGHT });
      else drawn.add((made = new uPlot({ ...all, width, height: HEIGHT }, data, frame)));
    },
  ).observe(frame);
  return frame;
}

function recolour() {
  forgetOld();
  for (const each of drawn) each.redraw(false);
}

/** What is no longer in the page: uPlot itself keeps each until it is told. */
function forgetOld() {
  for (const each of drawn) {
    if (each.root.isConnected) continue;
    each.destroy();
    drawn.delete(each);
  }
}
