/** The API key that this page sends with its own requests to the server. In the page's memory alone. */

import { Store } from "./store.js";

/** What stands for the key in code to copy. */
export const PLACEHOLDER = "NAME.SECRET";

/** `isRefused`: the server has refused a request for want of a key that it knows. */
export const apiKey = new Store({ key: "", isRefused: false });

/** Note a refusal, unless another key has been given since. @param {string} sent */
export function refused(sent) {
  if (sent === apiKey.value.key) apiKey.set({ key: sent, isRefused: true });
}
