// Connects to the gateway for a function that calls another one of its tenant.
import { SignJWT } from "jose";
import type { ListenAddress } from "@fnctl/control-plane/contract/endpoint";
import { CALL_CREDENTIAL, callKey, type CallClaims } from "@fnctl/control-plane/contract/function-calls";
import type { EgressSource } from "@fnctl/control-plane/contract/internal";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Dialled } from "./dial.ts";
import { connectTo } from "./connect-to.ts";

/** Resolves with a connection on which the gateway knows who calls whom, whatever the client says in it. */
export type CallFunction = (settings: EgressSource, called: string, signal: AbortSignal) => Promise<Dialled>;

/** `door`: the gateway's for such calls; undefined: there is none here. */
export function createCallFunction(door: ListenAddress | undefined, secret: string): CallFunction {
  const key = callKey(secret);
  const sign = (claims: CallClaims): Promise<string> =>
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: CALL_CREDENTIAL.algorithm, typ: CALL_CREDENTIAL.type })
      .setIssuer(CALL_CREDENTIAL.issuer)
      .setAudience(CALL_CREDENTIAL.audience)
      .setIssuedAt()
      .setExpirationTime(`${CALL_CREDENTIAL.maxAgeS}s`)
      .sign(key);
  return async ({ tenantId, functionId }, called, signal) => {
    if (door === undefined || tenantId === null || functionId === null)
      throw new PlatformError("UNAVAILABLE", "Functions cannot call each other here.");
    const token = await sign({ tenantId, functionId, called });
    const socket = await connectTo(door.kind === "unix" ? { path: door.path } : { host: door.host, port: door.port }, signal).catch(
      (cause: unknown) => {
        throw new PlatformError("UNAVAILABLE", "The gateway takes no connections.", { cause });
      },
    );
    socket.write(`${token}\n`);
    return { socket, address: `function ${called}`, early: Buffer.alloc(0) };
  };
}
