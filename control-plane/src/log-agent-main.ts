// The log agent's process, one on each node: it reads the kubelet's files, keeps log segments on the node's disk, and serves reads of the
// control plane. It has no rights in the cluster: the control plane tells it which function an instance's lines belong to (SECURITY I3,
// C3).
import { onShutdown } from "./service/shutdown.ts";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import pino from "pino";
import { z } from "zod";
import { dialEndpoint, listenAddressSchema } from "./contract/endpoint.ts";
import { listenInternal } from "./service/http/listen.ts";
import { startAgent } from "./logs/kubelet/log-agent.ts";
import { createChannelsClient } from "./logs/kubelet/channels-client.ts";
import { createAgentListener } from "./logs/kubelet/listener.ts";
import { createSegments } from "./logs/keep/segments.ts";
import { absolutePath, readSettings } from "./service/settings/environment.ts";
import { readSecret } from "./service/settings/secret.ts";

const schema = z.object({
  FNCTL_AGENT_LISTEN: listenAddressSchema,
  FNCTL_AGENT_CERT_FILE: absolutePath,
  FNCTL_AGENT_KEY_FILE: absolutePath,
  /** Secret between agents and the control plane, in both directions; it differs from the secret of the platform's other parts. */
  FNCTL_AGENT_SECRET_FILE: absolutePath,
  FNCTL_CONTROL_SOCKET: listenAddressSchema,
  FNCTL_INTERNAL_CA_FILE: absolutePath,
  /** The kubelet's folder of logs. */
  FNCTL_POD_LOGS: absolutePath,
  FNCTL_AGENT_STATE_DIR: absolutePath,
  FNCTL_TENANT_PREFIX: z.string().regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, "a DNS label"),
});

async function main(environment: Record<string, string | undefined>): Promise<void> {
  const settings = readSettings(schema, environment);
  const log = pino({ name: "log-agent" });
  const onError = (error: unknown) => log.error({ err: error }, "unexpected");
  const secret = readSecret(settings.FNCTL_AGENT_SECRET_FILE);
  const kept = path.join(settings.FNCTL_AGENT_STATE_DIR, "functions");
  mkdirSync(kept, { recursive: true, mode: 0o700 });
  const segments = createSegments(kept, onError);
  const control = settings.FNCTL_CONTROL_SOCKET;
  const ca = readFileSync(settings.FNCTL_INTERNAL_CA_FILE, "utf8");
  const dial = dialEndpoint(control, ca);
  const agent = await startAgent({
    root: settings.FNCTL_POD_LOGS,
    prefix: settings.FNCTL_TENANT_PREFIX,
    stateFile: path.join(settings.FNCTL_AGENT_STATE_DIR, "state.json"),
    segments,
    ask: createChannelsClient(dial, secret),
    onError,
  });
  // All agents have the same key and secret, and these must not let one agent read from another: a reader must show the control plane's own
  // certificate.
  const clients = control.kind === "tcp" ? { ca, name: control.host } : undefined;
  const files = { certificate: settings.FNCTL_AGENT_CERT_FILE, key: settings.FNCTL_AGENT_KEY_FILE, ...(clients && { clients }) };
  await listenInternal(createAgentListener(segments, secret), settings.FNCTL_AGENT_LISTEN, { mode: 0o600 }, files);
  log.info("ready");
  const end = async () => {
    await agent.close();
    process.exit(0);
  };
  onShutdown(() => void end());
}

await main(process.env);
