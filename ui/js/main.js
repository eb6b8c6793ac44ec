/** Starts the page: what is always to be seen, and the view that the address names. */

import { App } from "./app.js";
import { KeyCard } from "./key_card.js";
import { startRouter } from "./router.js";
import { showState } from "./state.js";
import { showStrip } from "./strip.js";

const app = new App();
showStrip(/** @type {HTMLElement} */ (document.getElementById("strip")), app.feed);
showState(/** @type {HTMLElement} */ (document.getElementById("state")), app.health);
new KeyCard(/** @type {HTMLElement} */ (document.getElementById("key")), app);
startRouter(app);
app.start();
