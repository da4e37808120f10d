// The builder protocol's constants: repeated from the contract, and compared with it by a test, because the contract would bring zod along.
import type { BuilderEvent, BuildRequest } from "@fnctl/control-plane/contract/runtime-protocol";

export type { BuilderEvent, BuildRequest };
export type Entry = Extract<BuilderEvent, { type: "done" }>["entry"];
export const HEALTH_PATH = "/.fnctl/v1/health";
export const SOURCE_PATH = "/.fnctl/v1/source";
export const BUILD_PATH = "/.fnctl/v1/build";
export const LAYER_PATH = "/.fnctl/v1/layer";
export const SOCKET_PATH = "/run/fn/sock/s";
/** In a pod: URL of the egress proxy with this builder's own credential. */
export const EGRESS_ENV = "FNCTL_EGRESS_PROXY";
export const EGRESS_SOCKET_PATH = "/run/fn/egress/s";
