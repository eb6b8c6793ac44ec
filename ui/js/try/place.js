/** Where an error is: `data[3][2]: …`, `requests[7].data[0][2]: …` or `cache_ttl: …`, as the server names fields. */

/** @typedef {{field: "data" | "cache_ttl" | "other", row: number | null, column: number | null}} Place */

/**
 * @param {string} detail of a problem
 * @param {boolean} batch whether each row was a request of its own
 * @returns {Place}
 */
export function placeOf(detail, batch) {
  const found = detail.match(/^(?:requests\[(\d+)\]\.?)?(data|cache_ttl)?((?:\[\d+\])*)/);
  const field = /** @type {Place["field"]} */ (found?.[2] ?? "other");
  const [row = null, column = null] = [...(found?.[3] ?? "").matchAll(/\d+/g)].map(Number);
  if (!batch) return { field, row, column };
  return { field, row: found?.[1] === undefined ? null : Number(found[1]), column };
}
