// The bootstraps repeat constants of the contract, which they cannot import (zod; Python). Here they are compared.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LIMITS } from "@fnctl/control-plane/contract/limits";
import { RECORD_MARK } from "@fnctl/control-plane/contract/logs";
import {
  BUILDER_PATHS,
  CODE_DIGEST_HEADER,
  INVOCATION_HEADERS,
  NAMES_PROGRAM,
  PROTOCOL,
  PROTOCOL_PATHS,
  PROTOCOL_PREFIX,
  POD_ENV,
  SANDBOX_PATHS,
} from "@fnctl/control-plane/contract/runtime-protocol";
import * as builder from "../builder/src/protocol.ts";
import * as node from "../node/src/protocol.ts";

const expected = {
  PROTOCOL,
  HEALTH_PATH: PROTOCOL_PATHS.health,
  INIT_PATH: PROTOCOL_PATHS.init,
  CODE_PATH: PROTOCOL_PATHS.code,
  SETTLED_PATH: PROTOCOL_PATHS.settled,
  CODE_DIGEST_HEADER,
  SOCKET_PATH: SANDBOX_PATHS.socket,
  EGRESS_SOCKET_PATH: SANDBOX_PATHS.egressSocket,
  NAMES_PROGRAM,
  CODE_FOLDER: SANDBOX_PATHS.code,
  REQUEST_ID_HEADER: INVOCATION_HEADERS.requestId,
  EXCHANGE_HEADER: INVOCATION_HEADERS.exchange,
  TIMEOUT_HEADER: INVOCATION_HEADERS.timeoutMs,
  RECORD_MARK,
  LOG_LINE_BYTES: LIMITS.logLineBytes,
};

test("Node bootstrap", () => {
  expect({ ...node }).toEqual({ ...expected, PROTOCOL_PREFIX, POD_ENV });
});

test("Python bootstrap", () => {
  const script =
    "import runpy, json, sys; v = runpy.run_path(sys.argv[1]); print(json.dumps({k: x.decode() if isinstance(x, bytes) else x for k, x in v.items() if k.isupper()}))";
  const values: unknown = JSON.parse(
    execFileSync("python3", ["-c", script, join(import.meta.dirname, "../python/fnctl_bootstrap/protocol.py")], { encoding: "utf8" }),
  );
  expect(values).toMatchObject({ ...expected, PREFIX: PROTOCOL_PREFIX });
});

test("builder", () => {
  expect({ ...builder }).toEqual({
    EGRESS_ENV: POD_ENV.egress,
    HEALTH_PATH: BUILDER_PATHS.health,
    SOURCE_PATH: BUILDER_PATHS.source,
    BUILD_PATH: BUILDER_PATHS.build,
    LAYER_PATH: BUILDER_PATHS.layer,
    SOCKET_PATH: SANDBOX_PATHS.socket,
    EGRESS_SOCKET_PATH: SANDBOX_PATHS.egressSocket,
  });
});
