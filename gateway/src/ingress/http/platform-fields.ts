// The fields that the platform adds to every answer, whether it is the function's, the API's or the platform's own refusal.
import { serverTiming, type Call } from "../call/call.ts";
import { responseCorsHeaders } from "./cors.ts";

/** Adds the fields to the flat list `headers`. `hasCors`: the function named an allowed origin itself. */
export function addPlatformFields(headers: string[], call: Call, hasCors: boolean): void {
  headers.push("x-request-id", call.requestId);
  const { route } = call;
  if (route !== undefined) {
    headers.push("server-timing", serverTiming(call));
    // Added to refusals, too, because otherwise the page that made the request could not read the reason.
    if (route.cors !== undefined && call.origin !== undefined && !hasCors)
      headers.push(...responseCorsHeaders(route.cors, call.origin, call.method));
  }
  if (call.sandboxed) headers.push("content-security-policy", "sandbox");
}
