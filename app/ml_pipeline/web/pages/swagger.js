// Apart from the page, so that no inline script is needed (Content-Security-Policy: default-src 'self').
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger", deepLinking: true, tryItOutEnabled: true });
