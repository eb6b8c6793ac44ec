/** A card with a chart: title, what it counts, a legend with exact values, and the lines. */

import { h } from "../dom.js";
import { clock } from "../format.js";
import { optionsOf } from "./chart_options.js";

/** @typedef {import("./feed.js").LiveState} LiveState */

export class Chart {
  #spec;
  #palette;
  #time = h("span", { class: "at" });
  #values;
  #area;
  /** Made when there is room for it. @type {uPlot | null} */
  #plot = null;
  /** @type {LiveState | null} */
  #state = null;

  /**
   * @param {import("./charts.js").ChartSpec} spec
   * @param {import("../palette.js").Palette} palette
   * @param {Record<string, (event: any) => void>} listeners of the area with the lines
   */
  constructor(spec, palette, listeners) {
    this.#spec = spec;
    this.#palette = palette;
    this.#values = spec.series.map(() => h("span", { class: "value" }));
    this.#area = h("div", { class: "lines", role: "img", tabindex: 0, on: listeners });
    const legend = spec.series.map(({ label, colour }, index) =>
      h("li", {}, h("span", { class: `swatch series-${colour}` }), `${label} `, this.#values[index]),
    );
    this.element = h(
      "article",
      { class: "card chart" },
      h(
        "header",
        { class: "row end" },
        h("h3", {}, `${spec.title} `, h("span", { class: "muted" }, spec.unit)),
        this.#time,
      ),
      h("ul", { class: "phases legend" }, ...legend),
      this.#area,
      h("p", { class: "muted caption" }, spec.caption),
    );
    new ResizeObserver(() => this.#fit()).observe(this.#area);
  }

  /** @param {LiveState} state */
  draw(state) {
    this.#state = state;
    if (this.#plot) this.#plot.setData(this.#data());
    else this.#fit();
    this.#showValues();
    const newest = this.#spec.series.map(({ name, label }) => `${label} ${this.#spec.text(state.now[name])}`);
    this.#area.setAttribute("aria-label", `${this.#spec.title}, ${this.#spec.unit}: ${newest.join(", ")}`);
  }

  /** Draw the same in other colours. */
  recolour() {
    this.#plot?.redraw(false);
  }

  /** Which point is under the crosshair. @returns {number | null} */
  get index() {
    return this.#plot?.cursor.idx ?? null;
  }

  /** Put the crosshair at a time, or away. @param {number | null} time */
  pointAt(time) {
    const left = time === null ? -10 : (this.#plot?.valToPos(time, "x") ?? -10);
    this.#plot?.setCursor({ left, top: left < 0 ? -10 : 0 });
  }

  /** What is under the crosshair, in words. */
  get words() {
    return this.#spec.series.map(({ label }, index) => `${label} ${this.#values[index].textContent}`).join(", ");
  }

  /** Follow the size of the card. */
  #fit() {
    const size = { width: this.#area.clientWidth, height: this.#area.clientHeight };
    if (!size.width || !this.#state || typeof uPlot === "undefined") return;
    if (this.#plot) this.#plot.setSize(size);
    else this.#plot = new uPlot(optionsOf(this.#spec, this.#palette, size, this.#hooks()), this.#data(), this.#area);
  }

  #hooks() {
    /** @returns {[number, number]} */
    const times = () => {
      const end = Math.max(Date.now() / 1000, this.#state?.at ?? 0);
      return [end - (this.#state?.range ?? 0), end];
    };
    return { times, onCursor: () => this.#showValues() };
  }

  /** @returns {uPlot.AlignedData} */
  #data() {
    const { times, values } = /** @type {LiveState} */ (this.#state).history;
    return [times, ...this.#spec.series.map(({ name }) => values[name])];
  }

  /** Those under the crosshair, or the newest. */
  #showValues() {
    if (!this.#state) return;
    const { history, now } = this.#state;
    const index = this.index;
    this.#time.textContent = index === null ? "now" : clock(history.times[index]);
    this.#spec.series.forEach(({ name }, position) => {
      const value = index === null ? now[name] : history.values[name][index];
      this.#values[position].textContent = this.#spec.text(value ?? null);
    });
  }
}
