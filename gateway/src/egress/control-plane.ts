// The control plane as the egress proxy calls it: it reads its part of the change stream, and reports what went through.
import { dialEndpoint, type ListenAddress } from "@fnctl/control-plane/contract/endpoint";
import { INTERNAL_PATHS, egressCredentialSchema } from "@fnctl/control-plane/contract/internal";
import { holderName } from "@fnctl/control-plane/contract/holder";
import { createCaller } from "@fnctl/control-plane/service/http/call";
import { z } from "zod";
import { createChangesClient, type ChangesClient } from "../replica/changes-client.ts";
import { FEED_LIMITS } from "../replica/limits.ts";

export interface ControlPlane extends ChangesClient {
  /** The name under which this process reports. */
  holder: string;
  post(path: string, body: object): Promise<unknown>;
  /** A new credential for a sandbox's that still counts. Throws FORBIDDEN. */
  renew(credential: string): Promise<string>;
  close(): Promise<void>;
}

/** `ca`: whom to trust, PEM, where the control plane is called over TCP. */
export function createControlPlane(address: ListenAddress, secret: string, ca: string | undefined): ControlPlane {
  const caller = createCaller({
    dial: dialEndpoint(address, ca),
    secret,
    who: "The control plane",
    connections: 4,
    timeoutMs: FEED_LIMITS.callMs,
  });
  const holder = holderName("egress");
  return {
    ...createChangesClient(caller, holder),
    holder,
    post: (path, body) => caller.ask({ method: "POST", path, body }, z.unknown()),
    renew: async (credential) =>
      (await caller.ask({ method: "POST", path: INTERNAL_PATHS.egressCredential, body: { credential } }, egressCredentialSchema))
        .credential,
    close: caller.close,
  };
}
