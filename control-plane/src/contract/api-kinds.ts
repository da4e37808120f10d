// What requests of the API are like for whoever passes them on: most are calls, which are short; some are uploads, whose body takes its time, or
// streams, whose answer does.

export type ApiKind = "call" | "upload" | "stream";

const STREAM = /^\/v1\/(?:builds\/[^/?]+\/events|functions\/[^/?]+\/logs)(?:\?|$)/;

/** `target`: path and query. */
export function apiKindOf(method: string, target: string): ApiKind {
  // The API decodes paths, so `logs` may be spelled in other ways. The gateway has refused what cannot be decoded.
  if (target.includes("%")) return apiKindOf(method, decodePath(target));
  if (method === "PUT" && target.startsWith("/v1/blobs/")) return "upload";
  return method === "GET" && STREAM.test(target) ? "stream" : "call";
}

const decodePath = (target: string): string => {
  const [path = ""] = target.split("?");
  return decodeURIComponent(path).replaceAll("%", "");
};
