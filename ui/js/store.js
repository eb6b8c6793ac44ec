/**
 * A value, and who wants to know when it changes.
 *
 * @template T
 */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    this.changes = 0;
    /** @type {Set<(value: T) => void>} */
    this.listeners = new Set();
  }

  /** @param {T} value */
  set(value) {
    this.value = value;
    this.changes += 1;
    for (const listener of this.listeners) listener(value);
  }

  /** Call a listener now and at each change. @param {(value: T) => void} listener */
  subscribe(listener) {
    this.listeners.add(listener);
    listener(this.value);
  }
}
