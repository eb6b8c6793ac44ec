/**
 * Making elements. Everything that is not markup of ours goes in as text, so a name with HTML in it
 * is shown, not run; there is no `innerHTML` on this page.
 */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | Record<string, (event: any) => void>>} Attributes */

/**
 * Make an element. `on` holds listeners by event; `false`, `null` and `undefined` leave an attribute out.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/**
 * Make an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = /** @type {SVGElementTagNameMap[K]} */ (document.createElementNS(SVG, tag));
  fill(element, attributes, children);
  return element;
}

/**
 * Put children in place of an element's own.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function replace(element, ...children) {
  element.replaceChildren(...present(children));
}

/**
 * Show that a button does nothing now. Unlike `disabled` this leaves the focus on it, so that who
 * presses it by a key goes on from there; its listener has to see to it that it does nothing.
 *
 * @param {HTMLButtonElement} button
 * @param {boolean} isIdle
 */
export function setIdle(button, isIdle) {
  button.setAttribute("aria-disabled", String(isIdle));
}

/**
 * Mark a field as the one that the problem beside it is about, or as none.
 *
 * @param {Element} field
 * @param {boolean} isInvalid
 */
export function markInvalid(field, isInvalid) {
  for (const [name, value] of [
    ["aria-invalid", "true"],
    ["aria-describedby", "try-problem"],
  ]) {
    if (isInvalid) field.setAttribute(name, value);
    else field.removeAttribute(name);
  }
}

/**
 * @param {Element} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "object") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...present(children));
}

/** @param {Child[]} children */
function present(children) {
  return children
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}
