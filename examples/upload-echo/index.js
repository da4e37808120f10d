import { pipeline } from "node:stream";

/** A Node listener, `(request, response)`: what node:http would call. */
export default function echo(request, response) {
  response.writeHead(200, { "content-type": request.headers["content-type"] ?? "application/octet-stream" });
  pipeline(request, response, (error) => {
    if (error) console.error("the transfer broke off:", error.message);
  });
}
