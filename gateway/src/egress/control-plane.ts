// The control plane as the egress proxy calls it: it reads its part of the change stream, and reports what went through.
import { holderName } from "@fnctl/control-plane/contract/holder";
import { createCaller } from "@fnctl/control-plane/service/http/call";
import { z } from "zod";
import { createChangesClient, type ChangesClient } from "../replica/changes-client.ts";
import { FEED_LIMITS } from "../replica/limits.ts";

export interface ControlPlane extends ChangesClient {
  post(path: string, body: object): Promise<unknown>;
  close(): Promise<void>;
}

export function createControlPlane(socketPath: string, secret: string): ControlPlane {
  const caller = createCaller({
    dial: { origin: "http://control", connect: { socketPath } },
    secret,
    who: "The control plane",
    connections: 4,
    timeoutMs: FEED_LIMITS.callMs,
  });
  return {
    ...createChangesClient(caller, holderName("egress")),
    post: (path, body) => caller.ask({ method: "POST", path, body }, z.unknown()),
    close: caller.close,
  };
}
