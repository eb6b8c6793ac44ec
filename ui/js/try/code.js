/** The same request in other languages, ready to run; where a key is needed, with a place for one. */

import { PLACEHOLDER } from "../api_key.js";

const LANGUAGES = /** @type {const} */ (["curl", "Python", "JavaScript"]);

export { LANGUAGES };

const MOST_ARGUMENT = 30_000; // letters; Linux takes 128 KB in one argument, and a letter may be four bytes

/**
 * @param {typeof LANGUAGES[number]} language
 * @param {string} url
 * @param {string} body JSON
 * @param {boolean} needsKey
 */
export function codeOf(language, url, body, needsKey) {
  if (language === "curl") return curl(url, body, needsKey);
  return language === "Python" ? python(url, body, needsKey) : javascript(url, body, needsKey);
}

/** @param {string} url @param {string} body @param {boolean} needsKey */
function curl(url, body, needsKey) {
  const start = `curl -s '${url}' \\\n  -H 'Content-Type: application/json' \\\n`;
  const head = needsKey ? `${start}  -H 'X-API-Key: ${PLACEHOLDER}' \\\n` : start;
  if (body.length > MOST_ARGUMENT) {
    return `${head}  -d @- <<'END'\n${body}\nEND\n`;
  }
  const quoted = body.replaceAll("'", "'\\''"); // bash: end the quotes, a quote, begin them anew
  return `${head}  -d '${quoted}'\n`;
}

/** @param {string} url @param {string} body @param {boolean} needsKey */
function python(url, body, needsKey) {
  // A JSON text is a Python literal but for three words, where they are no part of a string.
  const words = /** @type {Record<string, string>} */ ({ true: "True", false: "False", null: "None" });
  const literal = body.replace(/"(?:[^"\\]|\\.)*"|true|false|null/g, (token) => words[token] ?? token);
  const headers = needsKey ? `, headers={"X-API-Key": "${PLACEHOLDER}"}` : "";
  return [
    "import requests",
    "",
    `body = ${literal}`,
    `answer = requests.post(${JSON.stringify(url)}, json=body${headers}, timeout=30)`,
    "answer.raise_for_status()",
    "print(answer.json())",
    'print(answer.headers["Server-Timing"], answer.headers["X-Cache"])',
    "",
  ].join("\n");
}

/** @param {string} url @param {string} body @param {boolean} needsKey */
function javascript(url, body, needsKey) {
  // As text where a number would lose digits on its way through a JavaScript number.
  const exact = !/\d{16}/.test(body.replace(/"(?:[^"\\]|\\.)*"/g, ""));
  const key = needsKey ? `, "X-API-Key": "${PLACEHOLDER}"` : "";
  return [
    `const answer = await fetch(${JSON.stringify(url)}, {`,
    '  method: "POST",',
    `  headers: { "Content-Type": "application/json"${key} },`,
    exact ? `  body: JSON.stringify(${body}),` : `  body: ${JSON.stringify(body)},`,
    "});",
    "if (!answer.ok) throw new Error(await answer.text());",
    "console.log(await answer.json());",
    'console.log(answer.headers.get("Server-Timing"), answer.headers.get("X-Cache"));',
    "",
  ].join("\n");
}
