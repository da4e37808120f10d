// A connection on which a function calls another one of its tenant: who it is was told before its first request, and not by it.
import type { Socket } from "node:net";
import type { CallClaims } from "@fnctl/control-plane/contract/function-calls";

const kFrom = Symbol("from");
type FromFunction = Socket & { [kFrom]?: CallClaims };

/** Undefined: a client's connection. */
export const callerOf = (socket: Socket): CallClaims | undefined => (socket as FromFunction)[kFrom];
/** Whose share its connections and what they hold are of. */
export const shareOfFunction = ({ tenantId }: CallClaims): string => `tenant ${tenantId}`;
export function setCaller(socket: Socket, claims: CallClaims): void {
  (socket as FromFunction)[kFrom] = claims;
}
