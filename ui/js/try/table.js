/** Rows of named cells to be typed, pasted and uploaded, a page at a time. */

import { h, markInvalid, replace } from "../dom.js";
import { plural } from "../format.js";
import { PAGE_ROWS, Pager } from "../pager.js";
import { arrange, parse, unevenness } from "./csv.js";

/** @typedef {import("./place.js").Place} Place */

export class RowTable {
  /**
   * @param {string[]} columns
   * @param {string} dtype
   * @param {() => void} onChange called after every change of a cell or of the rows
   * @param {(note: string, look: string) => void} onNote called with what is worth knowing about a paste or an upload
   */
  constructor(columns, dtype, onChange, onNote) {
    this.columns = columns;
    this.dtype = dtype;
    this.onChange = onChange;
    this.onNote = onNote;
    /** @type {string[][]} */
    this.rows = [this.emptyRow()];
    /** @type {Place | null} */
    this.fault = null;
    this.pager = new Pager("rows", () => this.render());
    const names = columns.map((name) => h("th", { scope: "col" }, name));
    this.body = h("tbody");
    const head = h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "#"), ...names));
    const table = h("table", { class: "cells", on: { paste: (event) => this.paste(event) } }, head, this.body);
    const frame = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rows to predict" }, table);
    const add = h("button", { type: "button", on: { click: () => this.addRow() } }, "Add a row");
    this.element = h("div", { class: "view" }, frame, h("div", { class: "row end" }, add, this.pager.element));
    this.render();
  }

  emptyRow() {
    return this.columns.map(() => "");
  }

  /** Put other rows in place of those that are there. @param {string[][]} rows */
  setRows(rows) {
    this.rows = rows.length ? rows : [this.emptyRow()];
    this.fault = null;
    this.pager.page = 0;
    this.render();
    this.onChange();
  }

  /** Take a file's text, if it fits. @param {string} text */
  load(text) {
    const words = this.dtype === "str";
    const { rows, note, fault: odd } = arrange(parse(text, words), this.columns, words);
    const fault = rows.length ? odd || unevenness(rows, this.columns.length) : "The file has no rows.";
    if (!fault) this.setRows(rows);
    if (fault) this.onNote(`${fault} The table is as it was.`, "bad");
    else this.onNote(`${plural(rows.length, "row")} loaded. ${note}`, note ? "warn" : "good");
  }

  addRow() {
    this.rows.push(this.emptyRow());
    this.pager.setCount(this.rows.length);
    this.pager.showRow(this.rows.length - 1);
    this.render();
    this.onChange();
    this.cell(this.rows.length - 1, 0)?.focus();
  }

  /** @param {number} row */
  removeRow(row) {
    this.rows.splice(row, 1);
    if (!this.rows.length) this.rows.push(this.emptyRow());
    this.fault = null;
    this.render();
    this.onChange();
    this.cell(Math.min(row, this.rows.length - 1), 0)?.focus();
  }

  /** Several cells from a spreadsheet fill the table from the cell that has the focus on. @param {ClipboardEvent} event */
  paste(event) {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const target = /** @type {HTMLElement} */ (event.target);
    const words = this.dtype === "str";
    const between = words ? /[\t\n]/ : /[\t\n;,]/;
    const isOne = !between.test(text.trim()) || /^\s*[+-]?\d+,\d+\s*$/.test(text); // 13,32 is a number in half of Europe
    if (isOne || !target.dataset.row) return; // the browser's own paste
    event.preventDefault();
    const { rows, note } = arrange(parse(text, words, true), this.columns, words);
    const [top, left] = [
      Number(target.dataset.row),
      note || rows[0]?.length === this.columns.length ? 0 : Number(target.dataset.column),
    ];
    rows.forEach((cells, index) => {
      const row = (this.rows[top + index] ??= this.emptyRow());
      cells.slice(0, this.columns.length - left).forEach((cell, offset) => (row[left + offset] = cell));
    });
    const surplus = rows.findIndex((cells) => left + cells.length > this.columns.length);
    const lost = surplus < 0 ? "" : `Row ${top + surplus + 1}: cells beyond the last column were left out.`;
    this.fault = null;
    this.render();
    this.onNote(note || lost, "warn");
    this.onChange();
    this.cell(top, left)?.focus();
  }

  /** Name a place as the table shows it. @param {Place} place */
  nameOf({ row, column }) {
    const name = column === null ? "" : `, ${this.columns[column]}`;
    return row === null ? "" : `Row ${row + 1}${name}: `;
  }

  /** Show where an error is, and go there. @param {Place | null} place */
  showFault(place) {
    this.fault = place;
    const row = place?.row ?? null;
    if (row === null || row >= this.rows.length) {
      // Not drawn anew: somebody may be typing.
      for (const marked of this.body.querySelectorAll("[aria-invalid]")) markInvalid(marked, false);
      return;
    }
    this.pager.showRow(row);
    this.render();
    this.cell(row, place?.column ?? 0)?.focus();
  }

  /** @param {number} row @param {number} column */
  cell(row, column) {
    return /** @type {HTMLInputElement | null} */ (
      this.body.querySelector(`[data-row="${row}"][data-column="${column}"]`)
    );
  }

  render() {
    this.pager.setCount(this.rows.length);
    const first = this.pager.first;
    const shown = this.rows.slice(first, first + PAGE_ROWS);
    replace(this.body, ...shown.map((cells, index) => this.renderRow(first + index, cells)));
  }

  /** @param {number} row @param {string[]} cells */
  renderRow(row, cells) {
    const inputs = this.columns.map((name, column) => h("td", {}, this.renderCell(row, column, name, cells)));
    const remove = {
      type: "button",
      class: "icon",
      "aria-label": `Remove row ${row + 1}`,
      on: { click: () => this.removeRow(row) },
    };
    return h("tr", {}, h("th", { scope: "row" }, row + 1, " ", h("button", remove, "×")), ...inputs);
  }

  /** @param {number} row @param {number} column @param {string} name @param {string[]} cells */
  renderCell(row, column, name, cells) {
    const wrong = this.fault?.row === row && (this.fault.column === null || this.fault.column === column);
    const input = h("input", {
      "data-row": row,
      "data-column": column,
      "aria-label": `${name}, row ${row + 1}`,
      "aria-invalid": wrong ? "true" : false,
      "aria-describedby": wrong ? "try-problem" : false,
      autocomplete: "off",
      inputmode: this.dtype === "str" ? false : "decimal",
      on: { input: () => this.typed(row, column, input) },
    });
    input.value = cells[column] ?? "";
    return input;
  }

  /** @param {number} row @param {number} column @param {HTMLInputElement} input */
  typed(row, column, input) {
    this.rows[row][column] = this.dtype === "str" ? input.value : input.value.trim();
    markInvalid(input, false);
    this.onChange();
  }
}
