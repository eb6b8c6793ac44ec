/** What the views share: the models, the health of the service, and its live figures. */

import { Problem, getHealth, getModels } from "./api.js";
import { apiKey } from "./api_key.js";
import { LiveFeed } from "./live/feed.js";
import { Store } from "./store.js";

const HEALTH_EVERY_MS = 5000;

/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./api.js").Health} Health */

/** `value` is null until the first answer, and stays the last one while `problem` says why there is no newer. */
/** @template T @typedef {{value: T | null, problem: Problem | null}} Loaded */

export class App {
  constructor() {
    this.feed = new LiveFeed();
    this.models = new Store(/** @type {Loaded<Model[]>} */ ({ value: null, problem: null }));
    this.health = new Store(/** @type {Loaded<Health>} */ ({ value: null, problem: null }));
  }

  start() {
    this.feed.start();
    void this.loadModels();
    void this.watchHealth();
    this.watchDigests();
  }

  async loadModels() {
    await load(this.models, getModels);
  }

  /** Ask for the models anew when replicas serve others: somebody has reloaded them elsewhere. */
  watchDigests() {
    let before = "";
    this.feed.subscribe(({ replicas }) => {
      const served = new Set(replicas.flatMap(({ models }) => models.map(({ model, digest }) => `${model} ${digest}`)));
      const now = [...served].sort().join();
      if (now && before && now !== before) void this.loadModels();
      before = now || before;
    });
  }

  /** Ask for ever, and for models too as soon as a server that could not tell them is back. */
  async watchHealth() {
    for (;;) {
      if (!document.hidden) {
        const wasAway = this.health.value.problem !== null;
        await load(this.health, getHealth);
        const isBack = wasAway && this.health.value.problem === null;
        const isMissing = this.models.value.problem && !this.health.value.problem && !apiKey.value.isRefused;
        if (isBack || isMissing) await this.loadModels();
      }
      await new Promise((resolve) => setTimeout(resolve, HEALTH_EVERY_MS));
    }
  }
}

/**
 * @template T
 * @param {Store<Loaded<T>>} store
 * @param {() => Promise<T>} get
 */
async function load(store, get) {
  const { changes } = store;
  /** @param {Loaded<T>} found */
  const keep = (found) => {
    if (changes === store.changes) store.set(found); // else what is there is newer
  };
  try {
    keep({ value: await get(), problem: null });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    keep({ value: store.value.value, problem: error });
  }
}
