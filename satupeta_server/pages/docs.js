"use strict";

// The page may be read under another name than the document's (localhost, a proxy), and may only
// call the server that it came from.
function callThisServer(request) {
  const address = new URL(request.url, window.location.href);
  request.url = window.location.origin + address.pathname + address.search;
  return request;
}

window.SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#document",
  deepLinking: true,
  docExpansion: "none",
  persistAuthorization: false,
  requestInterceptor: callThisServer,
  validatorUrl: null,
});
