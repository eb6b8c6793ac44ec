/** How uPlot is told to draw a chart. */

import { clock } from "../format.js";

const FONT = "11px system-ui, sans-serif";
const AXIS_PX = { left: 58, bottom: 26 }; // the same for all charts, so that their times are in line

/** Seconds between marks. uPlot's own have none from 1 to 5 minutes, which leaves narrow charts with one mark. */
const TIME_STEPS = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800];

/** @typedef {import("./charts.js").ChartSpec} ChartSpec */
/** @typedef {import("../palette.js").Palette} Palette */

/**
 * @param {ChartSpec} spec
 * @param {Palette} palette
 * @param {{width: number, height: number}} size
 * @param {{times: () => [number, number], onCursor: () => void}} chart what the axis of time spans, and who is told of the cursor
 * @returns {uPlot.Options}
 */
export function optionsOf(spec, palette, size, { times, onCursor }) {
  return {
    ...size,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { setScale: false, x: false, y: false },
      sync: { key: "live", scales: ["x", null], setSeries: false },
    },
    scales: {
      x: { time: true, range: times },
      y: { range: (_, __, max) => [0, Math.max(spec.top, (max ?? 0) * 1.1) || 1] },
    },
    axes: [
      {
        ...axis(palette),
        size: AXIS_PX.bottom,
        space: 64,
        incrs: TIME_STEPS,
        values: (_, marks, __, ___, step) => marks.map((mark) => timeOf(mark, step)),
      },
      { ...axis(palette), size: AXIS_PX.left, space: 34, values: (_, marks) => marks.map(spec.text) },
    ],
    series: [
      {},
      ...spec.series.map(({ label, colour }) => ({
        label,
        stroke: () => palette.get(`--series-${colour}`),
        width: 1.5,
        points: { size: 4, fill: () => palette.get(`--series-${colour}`), filter: isolated },
      })),
    ],
    hooks: { setCursor: [onCursor] },
  };
}

/**
 * Points without neighbours, of which there is no line to be seen.
 *
 * @param {uPlot} plot
 * @param {number} series
 * @param {boolean} areShown whether all are, because there is room
 */
function isolated({ data }, series, areShown) {
  const values = data[series];
  const isGap = (/** @type {number} */ index) => (values[index] ?? null) === null;
  const alone = [...values.keys()].filter((index) => !isGap(index) && isGap(index - 1) && isGap(index + 1));
  return areShown || !alone.length ? null : alone;
}

/** @param {Palette} palette @returns {uPlot.Axis} */
function axis(palette) {
  const line = { stroke: () => palette.get("--border"), width: 1 };
  return { font: FONT, gap: 4, stroke: () => palette.get("--muted"), grid: line, ticks: { ...line, size: 4 } };
}

/** Seconds are told where marks are closer than a minute. @param {number} mark @param {number} step */
function timeOf(mark, step) {
  return step < 60 ? clock(mark) : clock(mark).slice(0, 5);
}
