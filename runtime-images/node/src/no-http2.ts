// Stands in for `node:http2` and `hono/ws` in the bundle: @hono/node-server only tests `instanceof` against the one and builds
// a helper that is never called with the other. Loading the real ones costs start time and memory in every idle sandbox.
export class Http2ServerRequest {}
export const constants = { NGHTTP2_NO_ERROR: 0 };
export const defineWebSocketHelper = (): undefined => undefined;
