/** Text from a file or a spreadsheet, as rows of cells. Format: RFC 4180, with the separators people use. */

const DATA = /^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?$|^[+-]?(nan|inf(inity)?)$|^(true|false)$/i;

/**
 * Split text into rows of cells. The separator is the one of tab, semicolon and comma that the first
 * line has. Unless commas separate, a decimal comma becomes a point.
 *
 * @param {string} text
 * @param {boolean} [words] whether cells are words, which keep their commas
 * @param {boolean} [isPaste] of words: those of a spreadsheet come with tabs, all else is a sentence
 * @returns {string[][]} without empty rows
 */
export function parse(text, words = false, isPaste = false) {
  const content = text.replace(/^\uFEFF/, "");
  const firstLine = content.replace(/"(?:[^"]|"")*"/g, "").split(/\r?\n/, 1)[0];
  const found = ["\t", ";"].find((each) => firstLine.includes(each)) ?? ",";
  const separator = words && isPaste ? "\t" : found;
  const rows = split(content, separator).filter((row) => row.some((cell) => cell !== ""));
  if (words || separator === ",") return rows;
  return rows.map((row) => row.map((cell) => cell.replace(/^([+-]?\d+),(\d+)$/, "$1.$2")));
}

/**
 * @param {string} text
 * @param {string} separator
 */
function split(text, separator) {
  /** @type {string[][]} */
  const rows = [];
  /** @type {string[]} */
  let row = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[at++];
      else quoted = false;
    } else if (letter === '"' && cell.trim() === "") {
      quoted = true;
      cell = "";
    } else if (letter === separator || letter === "\n") {
      row.push(cell.trim());
      cell = "";
      if (letter === "\n") {
        rows.push(row);
        row = [];
      }
    } else {
      cell += letter;
    }
  }
  rows.push([...row, cell.trim()]);
  return rows;
}

/**
 * Bring rows into the order of a model's columns.
 *
 * A first row that is no data is a header: with all of the columns' names it tells the order, and
 * columns that the model does not have are left out; without, it is dropped.
 *
 * @param {string[][]} rows
 * @param {string[]} columns
 * @param {boolean} words whether cells are words, so that only names can tell a header
 * @returns {{rows: string[][], note: string, fault: string}} what is worth knowing, and why rows do not fit a header
 */
export function arrange(rows, columns, words) {
  const [first = [], ...rest] = rows;
  const places = placesOf(first, columns);
  if (places) {
    const left = first.filter((_, index) => !places.includes(index));
    const note = left.length ? `Left out, because the model has no such feature: ${left.join(", ")}.` : "";
    const arranged = rest.map((row) => places.map((place) => row[place] ?? ""));
    return { rows: arranged, note, fault: unevenness(rest, first.length) };
  }
  const isHeader = !words && first.length > 0 && first.every((cell) => cell !== "" && !DATA.test(cell));
  const note = isHeader
    ? `The first line was taken as a header; its names are not the model's, so columns count from the left.`
    : "";
  return { rows: isHeader ? rest : rows, note, fault: "" };
}

/**
 * Where a header has each column; null if it does not have all, each in a place of its own.
 *
 * @param {string[]} header
 * @param {string[]} columns
 */
function placesOf(header, columns) {
  const lower = header.map((cell) => cell.toLowerCase());
  const places = columns.map((name) => {
    const exact = header.indexOf(name);
    const alike = lower.indexOf(name.toLowerCase());
    return exact >= 0 ? exact : alike === lower.lastIndexOf(name.toLowerCase()) ? alike : -1;
  });
  return columns.length && !places.includes(-1) && new Set(places).size === places.length ? places : null;
}

/**
 * Say which row has not as many cells as there are columns; empty if each has.
 *
 * @param {string[][]} rows
 * @param {number} columns
 */
export function unevenness(rows, columns) {
  const at = rows.findIndex((row) => row.length !== columns);
  return at < 0 ? "" : `Row ${at + 1}: expected ${columns} cells, found ${rows[at].length}.`;
}
