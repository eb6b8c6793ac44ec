/** Long lists a page at a time. */

import { h, replace, setIdle } from "./dom.js";

export const PAGE_ROWS = 20;

export class Pager {
  /**
   * @param {string} what for screen readers, such as "rows"
   * @param {() => void} onTurn
   */
  constructor(what, onTurn) {
    this.page = 0;
    this.count = 0;
    this.onTurn = onTurn;
    this.text = h("span", { class: "muted", "aria-live": "polite" });
    this.back = h(
      "button",
      { type: "button", class: "icon", "aria-label": `Earlier ${what}`, on: { click: () => this.turn(-1) } },
      "‹",
    );
    this.on = h(
      "button",
      { type: "button", class: "icon", "aria-label": `Later ${what}`, on: { click: () => this.turn(1) } },
      "›",
    );
    this.element = h("div", { class: "row" }, this.back, this.text, this.on);
  }

  /** Index of the first row shown. */
  get first() {
    return this.page * PAGE_ROWS;
  }

  /** Tell how many rows there are; goes to the nearest page that exists. @param {number} count */
  setCount(count) {
    this.count = count;
    this.page = Math.max(0, Math.min(this.page, Math.ceil(count / PAGE_ROWS) - 1));
    this.render();
  }

  /** Go to the page of a row. @param {number} row */
  showRow(row) {
    this.page = Math.floor(row / PAGE_ROWS);
    this.setCount(this.count);
  }

  /** @param {number} pages */
  turn(pages) {
    this.page += pages;
    this.setCount(this.count);
    this.onTurn();
  }

  render() {
    const last = Math.min(this.first + PAGE_ROWS, this.count);
    this.element.hidden = this.count <= PAGE_ROWS;
    setIdle(this.back, this.first === 0);
    setIdle(this.on, last >= this.count);
    replace(this.text, `${this.first + 1}–${last} of ${this.count.toLocaleString("en")}`);
  }
}
