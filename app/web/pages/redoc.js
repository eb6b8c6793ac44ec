// Apart from the page, as in swagger.js.
Redoc.init("openapi.json", {}, document.getElementById("redoc"));
