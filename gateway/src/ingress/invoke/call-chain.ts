// The functions that called each other, one by the other, in a field that each function gets and may pass on, as it does `traceparent`. It is signed
// for its tenant, so that a function can leave it out, but not make one up. Without it a chain starts anew.
import { createHmac, timingSafeEqual } from "node:crypto";
import { chainKey } from "@fnctl/control-plane/contract/function-calls";
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import { LIMITS } from "@fnctl/control-plane/contract/limits";

const MAC_BYTES = 16;

export interface CallChains {
  /**
   * The field for the next function, `called` by `caller`, who sent `field`. Throws LOOP_DETECTED above the most calls one by the other.
   */
  next(tenantId: string, field: string | undefined, caller: string, called: string): string;
}

export function createCallChains(secret: string): CallChains {
  const key = chainKey(secret);
  const mac = (tenantId: string, names: string): Buffer =>
    createHmac("sha256", key).update(`${tenantId} ${names}`).digest().subarray(0, MAC_BYTES);

  function read(tenantId: string, field: string): string[] | undefined {
    const [names = "", signed = "", ...more] = field.split(";");
    const given = Buffer.from(signed, "base64url");
    if (more.length > 0 || given.length !== MAC_BYTES || !timingSafeEqual(given, mac(tenantId, names))) return undefined;
    return names.split(">");
  }
  return {
    next(tenantId, field, caller, called) {
      const known = field === undefined || field.length > MOST_CHARS ? undefined : read(tenantId, field);
      // A chain that ends with another function was not given to this one.
      const names = [...(known?.at(-1) === caller ? known : [caller]), called];
      if (names.length - 1 > LIMITS.callDepth)
        throw new PlatformError("LOOP_DETECTED", `More than ${LIMITS.callDepth} functions call one another: ${names.join(" > ")}.`);
      const text = names.join(">");
      return `${text};${mac(tenantId, text).toString("base64url")}`;
    },
  };
}
/** Longer than any that is signed. */
const MOST_CHARS = (LIMITS.slugBytes + 1) * (LIMITS.callDepth + 1) + 32;
