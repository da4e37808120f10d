// A client's first bytes must name the host that it asked for (SECURITY B5), as TLS server name or in an HTTP/1 Host field.
import { isAddressHost } from "@fnctl/control-plane/contract/address-rules";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { readClientHello } from "./client-hello.ts";
import { EGRESS_LIMITS } from "./limits.ts";
import type { Target } from "./target.ts";

const HTTP_START = /^[A-Z]{3,10} \S+ HTTP\/1\.[01]\r?\n/;
const MAYBE_HTTP = /^[A-Z]{1,10}(?: \S*(?: H?T?T?P?\/?1?\.?[01]?\r?)?)?$/;
/** On these ports only TLS is allowed; anything else is refused. */
const TLS_ONLY = new Set([443]);

const refuse = (detail: string): never => {
  throw new PlatformError("FORBIDDEN", detail, { hint: "The TLS server name and the Host field must be the host that was asked for." });
};

/** True: the bytes are fine and may be sent on. False: more bytes are needed. Throws when the tunnel must be refused. */
export function judgeFirstFlight(bytes: Buffer, target: Target): boolean {
  const hello = readClientHello(bytes);
  switch (hello.state) {
    case "complete":
      return judgeServerName(hello.serverName, target);
    case "broken":
      return refuse("The first bytes are no valid TLS ClientHello.");
    case "incomplete":
      return enough(bytes);
    default:
      if (TLS_ONLY.has(target.port)) refuse(`Only TLS is spoken to port ${target.port}.`);
      return judgePlain(bytes, target);
  }
}

/** An address has no server name (RFC 6066 section 3). With one it would be some name's server that was asked, for which there is no rule. */
function judgeServerName(serverName: string | undefined, { host }: Target): true {
  const wanted = isAddressHost(host) ? undefined : host;
  if (serverName !== wanted)
    refuse(wanted === undefined ? "A TLS server name was sent to an address." : `The TLS server name is not ${host}.`);
  return true;
}

/** Protocols other than TLS and HTTP (databases, mail) pass, because the host and its address were checked already. */
function judgePlain(bytes: Buffer, target: Target): boolean {
  const text = bytes.toString("latin1");
  if (!HTTP_START.test(text)) return MAYBE_HTTP.test(text) && text.length < 64 ? enough(bytes) : true;
  const end = /\r?\n\r?\n/.exec(text)?.index;
  if (end === undefined) return enough(bytes);
  const hosts = text
    .slice(0, end)
    .split(/\r?\n/)
    .slice(1)
    .filter((line) => /^host[ \t]*:/i.test(line))
    .map((line) =>
      line
        .slice(line.indexOf(":") + 1)
        .trim()
        .toLowerCase(),
    );
  if (hosts.length !== 1 || (hosts[0] !== target.host && hosts[0] !== `${target.host}:${target.port}`))
    refuse(`The Host field is not ${target.host}.`);
  return true;
}

function enough(bytes: Buffer): false {
  if (bytes.length > EGRESS_LIMITS.firstFlightBytes) refuse("The first bytes are longer than any greeting.");
  return false;
}
