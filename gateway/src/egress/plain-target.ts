// Where a plain request goes: an absolute-form target (RFC 9112 section 3.2.2). Whatever two parsers could read differently is refused (SECURITY B5).
import type { IncomingMessage } from "node:http";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { lists, valuesOf } from "./message-fields.ts";
import { readTarget, type Target } from "./target.ts";

export interface PlainTarget extends Target {
  /** As the request asks for it there. */
  path: string;
}

const ABSOLUTE = /^http:\/\/([^/?#\\@\s]+)(\/[^#\s]*|\?[^#\s]*)?$/i;
const HTTP_PORT = 80;
const TLS_PORT = 443;

export const isAbsolute = (url: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(url);

/** Throws what is told to the client. */
export function readPlainTarget({ method, url = "", rawHeaders, httpVersion }: IncomingMessage): PlainTarget {
  if (method === "TRACE") throw new PlatformError("METHOD_NOT_ALLOWED", "TRACE is not sent on.");
  if (lists(rawHeaders, "upgrade", "websocket"))
    throw new PlatformError("UPGRADE_UNSUPPORTED", "A plain request is not upgraded by this proxy.", {
      hint: "Open a tunnel for it: CONNECT host:port, then the WebSocket's own request.",
    });
  if (httpVersion === "1.0" && valuesOf(rawHeaders, "transfer-encoding").length > 0)
    throw new PlatformError("BAD_REQUEST", "HTTP/1.0 has no Transfer-Encoding (RFC 9112 section 6.1).");
  const match = ABSOLUTE.exec(url);
  if (match?.[1] === undefined)
    throw new PlatformError("FORBIDDEN", "Only http://host[:port]/path is taken in this form.", { hint: "Use CONNECT for anything else." });
  const authority = match[1];
  const target = readTarget(/:\d*$/.test(authority) ? authority : `${authority}:${HTTP_PORT}`);
  if (target.port === TLS_PORT)
    throw new PlatformError("FORBIDDEN", `Only TLS is spoken to port ${TLS_PORT}.`, { hint: "Use an https:// address, by CONNECT." });
  requireHost(rawHeaders, target);
  return { ...target, path: pathOf(match[2] ?? "", method) };
}

/** The Host field as a client of this target sends it. */
export const hostOf = ({ host, port }: Target): string => (port === HTTP_PORT ? host : `${host}:${port}`);

function requireHost(rawHeaders: readonly string[], target: Target): void {
  const hosts = valuesOf(rawHeaders, "host").map((value) => value.trim().toLowerCase());
  const isTarget = hosts[0] === hostOf(target) || hosts[0] === `${target.host}:${target.port}` || hosts[0] === target.host;
  if (hosts.length > 1 || (hosts.length === 1 && !isTarget))
    throw new PlatformError("FORBIDDEN", "The Host field is not the request's target.", { hint: "Send one Host field, the target's." });
}

/** RFC 9112 section 3.2.4: OPTIONS without a path is about the server as a whole. */
function pathOf(written: string, method: string | undefined): string {
  if (written === "") return method === "OPTIONS" ? "*" : "/";
  return written.startsWith("?") ? `/${written}` : written;
}
