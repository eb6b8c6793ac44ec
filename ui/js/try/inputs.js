/** What is asked: rows in a table, or JSON, as the model wants it. */

import { h, markInvalid, replace } from "../dom.js";
import { parseJson, writeJson } from "../json.js";
import { rowJson } from "./body.js";
import { parse } from "./csv.js";
import { formOf } from "./form.js";
import { RowTable } from "./table.js";

/** @typedef {import("../api.js").Model} Model */
/** @typedef {import("./form.js").Form} Form */
/** @typedef {import("./place.js").Place} Place */

export class Inputs {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.edits = 0;
    this.onChange = () => {
      this.edits += 1;
      onChange();
    };
    this.note = h("p", { role: "status" });
    this.place = h("div", { class: "inputs" });
    this.element = h("div", { class: "view" }, this.place, this.note);
    /** @type {Form} */
    this.form = { kind: "none", columns: [], dtype: "", hint: "" };
    this.asked = "";
    /** @type {RowTable | null} */
    this.table = null;
    this.text = h("textarea", {
      rows: 12,
      spellcheck: "false",
      "aria-label": "Rows as JSON",
      on: { input: () => this.edited() },
    });
  }

  /**
   * Ask for what a model takes. Rows stay where it is the one before, reloaded, and takes the same.
   *
   * @param {Model} model
   * @returns {boolean} whether rows have to be found anew
   */
  setModel(model) {
    const form = formOf(model);
    const asked = JSON.stringify([model.model_name, form]);
    if (asked === this.asked) return false;
    this.asked = asked;
    this.form = form;
    this.table = null;
    this.text.value = "";
    this.tell("");
    if (this.form.kind === "table") {
      this.table = new RowTable(this.form.columns, this.form.dtype, this.onChange, (note, look) =>
        this.tell(note, look),
      );
      replace(this.place, this.table.element);
    } else {
      const hint = h("p", { class: "muted" }, this.form.hint);
      replace(this.place, ...(this.form.kind === "json" ? [h("div", { class: "view" }, hint, this.text)] : [hint]));
    }
    return true;
  }

  /** Fill in rows as the server gives them. @param {any[]} rows */
  fill(rows) {
    this.tell("");
    if (this.table) {
      this.table.setRows(rows.map((row) => row.map(String)));
    } else {
      this.text.value = `[${rows.map(writeJson).join(",\n ")}]`;
      this.edited();
    }
  }

  /** Take what a CSV file holds. @param {string} text */
  load(text) {
    if (this.table) {
      this.table.load(text);
    } else {
      this.text.value = `[${parse(text, this.form.dtype === "str")
        .map((row) => rowJson(row, this.form.dtype))
        .join(",\n ")}]`;
      this.edited();
    }
  }

  /**
   * JSON of each row.
   *
   * @returns {string[]}
   * @throws {SyntaxError} What was typed is no JSON list.
   */
  rows() {
    if (this.table) return this.table.rows.map((row) => rowJson(row, this.form.dtype));
    const rows = parseJson(this.text.value);
    if (!Array.isArray(rows)) throw new SyntaxError("expected a list of rows");
    return rows.map(writeJson);
  }

  /** Show where an error is; null where there is none. @param {Place | null} place */
  showFault(place) {
    const here = place?.field === "data" || (place?.row ?? null) !== null;
    this.table?.showFault(here ? place : null);
    markInvalid(this.text, here);
  }

  edited() {
    markInvalid(this.text, false);
    this.onChange();
  }

  /** @param {string} note @param {string} [look] */
  tell(note, look = "") {
    this.note.className = note ? `note ${look}` : "";
    replace(this.note, note);
  }
}
