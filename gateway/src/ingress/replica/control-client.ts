// Calls to the control plane's internal listener. Every answer is parsed; every failure is a coded error.
import type { EndpointDial } from "@fnctl/control-plane/contract/endpoint";
import { holderName } from "@fnctl/control-plane/contract/holder";
import {
  INTERNAL_PATHS,
  leaseSchema,
  releaseResponseSchema,
  renewResponseSchema,
  type Lease,
} from "@fnctl/control-plane/contract/internal";
import { createCaller } from "@fnctl/control-plane/service/http/call";
import type { z } from "zod";
import type {
  leaseRequestSchema,
  releaseRequestSchema,
  releaseResponseSchema as ReleaseResponse,
  renewRequestSchema,
  renewResponseSchema as RenewResponse,
} from "@fnctl/control-plane/contract/internal";
import { GATEWAY_LIMITS } from "../limits.ts";
import { createChangesClient, type ChangesClient } from "../../replica/changes-client.ts";

/** Requests without `holder`, which the client adds: one name for the life of the process, for leases and for the change stream. */
type Held<T extends z.ZodType> = Omit<z.infer<T>, "holder">;

export interface ControlClient extends ChangesClient {
  lease(request: Held<typeof leaseRequestSchema>): Promise<Lease>;
  renew(request: Held<typeof renewRequestSchema>): Promise<z.infer<typeof RenewResponse>>;
  release(request: Held<typeof releaseRequestSchema>): Promise<z.infer<typeof ReleaseResponse>>;
  close(): Promise<void>;
}

/** `gateway`: what the holder's name begins with (contract/holder.ts). */
export function createControlClient({ dial, secret, gateway }: { dial: EndpointDial; secret: string; gateway: string }): ControlClient {
  // The number of connections is not limited, because lease calls wait for cold starts and must not delay renewals.
  const { ask, open, close } = createCaller({
    dial,
    secret,
    who: "The control plane",
    hint: "It is started again by the supervisor; requests to running instances go on.",
    connections: null,
    timeoutMs: GATEWAY_LIMITS.controlCallMs,
  });
  const holder = holderName(gateway);
  const post = <T extends z.ZodType>(path: string, body: object, schema: T, timeoutMs?: number): Promise<z.infer<T>> =>
    ask({ method: "POST", path, body: { holder, ...body }, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, schema);

  return {
    lease: (request) => post(INTERNAL_PATHS.leases, request, leaseSchema, request.waitMs + GATEWAY_LIMITS.controlCallMs),
    renew: (request) => post(INTERNAL_PATHS.renew, request, renewResponseSchema),
    release: (request) => post(INTERNAL_PATHS.release, request, releaseResponseSchema),
    ...createChangesClient({ ask, open }, holder),
    close,
  };
}
