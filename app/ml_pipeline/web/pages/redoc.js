// Apart from the page, as in swagger.js.
import { init } from "./redoc.standalone.js";

init("openapi.json", {}, document.getElementById("redoc"));
