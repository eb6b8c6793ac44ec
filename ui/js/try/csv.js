/** Text from a file or a spreadsheet, as rows of cells. Format: RFC 4180, with the separators people use. */

/**
 * Split text into rows of cells. The separator is the one of tab, semicolon and comma that the first
 * line has; with semicolons a decimal comma becomes a point.
 *
 * @param {string} text
 * @returns {string[][]} without empty rows
 */
export function parse(text) {
  const content = text.replace(/^\uFEFF/, "");
  const firstLine = content.replace(/"(?:[^"]|"")*"/g, "").split(/\r?\n/, 1)[0];
  const separator = ["\t", ";"].find((each) => firstLine.includes(each)) ?? ",";
  const rows = split(content, separator).filter((row) => row.some((cell) => cell !== ""));
  if (separator !== ";") return rows;
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
 * @returns {{rows: string[][], note: string}} the note is what is worth knowing
 */
export function arrange(rows, columns, words) {
  const [first = [], ...rest] = rows;
  const places = columns.map((name) => first.findIndex((cell) => cell.toLowerCase() === name.toLowerCase()));
  if (columns.length && places.every((place) => place >= 0)) {
    const left = first.filter((_, index) => !places.includes(index));
    const note = left.length ? `Left out, because the model has no such feature: ${left.join(", ")}.` : "";
    return { rows: rest.map((row) => places.map((place) => row[place] ?? "")), note };
  }
  const isHeader = !words && first.length > 0 && first.every((cell) => cell !== "" && Number.isNaN(Number(cell)));
  const note = isHeader
    ? `The first line was taken as a header; its names are not the model's, so columns count from the left.`
    : "";
  return { rows: isHeader ? rest : rows, note };
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
