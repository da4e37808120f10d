// The fields that the platform adds to every answer, be it the function's, the API's or its own refusal.
import { serverTiming, type Call } from "../call/call.ts";
import { responseCorsHeaders } from "./cors.ts";

/** Flat list, added to `headers`. `hasCors`: the function named an allowed origin itself. */
export function addPlatformFields(headers: string[], call: Call, hasCors: boolean): void {
  headers.push("x-request-id", call.requestId);
  const { route } = call;
  if (route !== undefined) {
    headers.push("server-timing", serverTiming(call));
    // On refusals too: else the page that asked could not read why.
    if (route.cors !== undefined && call.origin !== undefined && !hasCors)
      headers.push(...responseCorsHeaders(route.cors, call.origin, call.method));
  }
  if (call.sandboxed) headers.push("content-security-policy", "sandbox");
}
