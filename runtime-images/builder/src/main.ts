// Start of the builder inside its sandbox.
// oxlint-disable-next-line import/no-unassigned-import -- it acts by being imported, before anything else is
import "../../node/src/end-on-sigterm.ts";
import { existsSync } from "node:fs";
import { buildNode } from "./build-node.ts";
import { buildPython } from "./build-python.ts";
import { startForwarder } from "./forwarder.ts";
import { listen } from "../../node/src/listen.ts";
import { takePodSettings } from "../../node/src/pod.ts";
import { EGRESS_ENV, EGRESS_SOCKET_PATH, SOCKET_PATH } from "./protocol.ts";
import { createBuilder } from "./server.ts";

// Other paths only where it runs outside a sandbox, in tests.
const work = process.env["FNCTL_WORK"] ?? "/build";
const egressSocket = process.env["FNCTL_EGRESS_SOCKET"] ?? EGRESS_SOCKET_PATH;

const { [EGRESS_ENV]: podProxy } = process.env;
const pod = takePodSettings(process.env); // which takes that out, too
const proxy = podProxy ?? (existsSync(egressSocket) ? await startForwarder(egressSocket) : undefined);
await listen(
  pod ?? process.env["FNCTL_SOCKET"] ?? SOCKET_PATH,
  createBuilder({ work, proxy, builders: { node24: buildNode, "python3.13": buildPython } }),
);
