/** The colours of the style sheet as a canvas takes them: the variables are pairs for light and dark. */

import { h } from "./dom.js";

const PROPERTIES = [
  "--text",
  "--muted",
  "--border",
  "--surface",
  ...[1, 2, 3, 4, 5].map((number) => `--series-${number}`),
];

export class Palette {
  #probe = h("span", { hidden: true });
  /** @type {Map<string, string>} */
  #colours = new Map();

  /**
   * @param {HTMLElement} root which has the colours
   * @param {() => void} onChange called when the system has gone from light to dark or back
   */
  constructor(root, onChange) {
    root.append(this.#probe);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#colours.clear();
      onChange();
    });
  }

  /** @param {string} property such as `--series-1` */
  get(property) {
    if (!this.#colours.size) this.#read();
    return this.#colours.get(property) ?? "gray";
  }

  #read() {
    for (const property of PROPERTIES) {
      this.#probe.style.color = `var(${property})`;
      this.#colours.set(property, getComputedStyle(this.#probe).color);
    }
  }
}
