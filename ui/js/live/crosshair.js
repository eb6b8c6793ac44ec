/** One point in time that all charts show: where the mouse is, or where the arrow keys have moved it. */

/** @typedef {import("./chart.js").Chart} Chart */

export class Crosshair {
  /** @type {Chart[]} */
  #charts = [];
  #tell;
  /** Where the keys have put it; uPlot itself keeps where the mouse is. @type {number | null} */
  #time = null;

  /** @param {(time: number, words: string) => void} tell what a key has found, for who does not see it */
  constructor(tell) {
    this.#tell = tell;
  }

  /** @param {Chart[]} charts */
  join(charts) {
    this.#charts = charts;
  }

  /**
   * Listeners of a chart.
   *
   * @param {() => Chart} chart
   * @param {() => number[]} times
   */
  listeners(chart, times) {
    return {
      keydown: (/** @type {KeyboardEvent} */ event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step) this.#move(chart(), times(), step);
        else if (event.key === "Escape") this.clear();
        else return;
        event.preventDefault();
      },
      mousemove: () => void (this.#time = null),
      blur: () => this.clear(),
    };
  }

  /** Stay at the time, after the charts have moved on. @param {number} start of what they show */
  keep(start) {
    if (this.#time === null) return;
    if (this.#time < start) this.clear();
    else this.#point();
  }

  clear() {
    if (this.#time === null) return;
    this.#time = null;
    this.#point();
  }

  /** @param {Chart} chart @param {number[]} times @param {number} step */
  #move(chart, times, step) {
    if (!times.length) return;
    const index = this.#time === null ? (chart.index ?? times.length) : times.indexOf(this.#time);
    this.#time = times[Math.min(Math.max(index + step, 0), times.length - 1)];
    this.#point();
    this.#tell(this.#time, chart.words);
  }

  #point() {
    for (const chart of this.#charts) chart.pointAt(this.#time);
  }
}
