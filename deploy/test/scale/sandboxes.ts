// Simulates the sandboxes of all simulated pods with one TLS server, which answers for each server name with the key in that pod's spec. It
// gives the answers of the runtime protocol and runs no code. It is a separate process, so that its cost is not counted as the platform's.
// `node sandboxes.ts KUBECONFIG PLATFORM_UID ADDRESS`; prints "listening".
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createSecureContext, type SecureContext } from "node:tls";
import { CoreV1Api, KubeConfig, Watch, type V1Pod } from "@kubernetes/client-node";
import { POD_ENV, POD_PORT, PROTOCOL_PATHS } from "@fnctl/control-plane/contract/runtime-protocol";
import { LABELS } from "@fnctl/control-plane/cluster/labels";

const [kubeconfig = "", uid = "", address = ""] = process.argv.slice(2);
const config = new KubeConfig();
config.loadFromString(readFileSync(kubeconfig, "utf8"));
const known = new Map<string, { key: string; cert: string }>();
const waiting = new Map<string, () => void>();

function learn(pod: V1Pod): void {
  const id = pod.metadata?.labels?.[LABELS.instance];
  const env = new Map(pod.spec?.containers[0]?.env?.map(({ name, value }) => [name, value ?? ""]));
  const [key, cert] = [env.get(POD_ENV.key), env.get(POD_ENV.certificate)];
  if (id === undefined || key === undefined || cert === undefined) return;
  known.set(id, { key, cert });
  waiting.get(id)?.();
  waiting.delete(id);
}
async function follow(): Promise<void> {
  const labelSelector = `${LABELS.platform}=${uid}`;
  const list = await config.makeApiClient(CoreV1Api).listPodForAllNamespaces({ labelSelector });
  list.items.forEach(learn);
  const resourceVersion = list.metadata?.resourceVersion ?? "";
  await new Watch(config).watch(
    "/api/v1/pods",
    { labelSelector, resourceVersion },
    (type, pod: V1Pod) => (type === "DELETED" ? known.delete(pod.metadata?.labels?.[LABELS.instance] ?? "") : learn(pod)),
    () => void follow(),
  );
}
const contextOf = (id: string): SecureContext | undefined => {
  const pair = known.get(id);
  return pair === undefined ? undefined : createSecureContext({ ...pair, minVersion: "TLSv1.3" });
};

const server = createServer(
  {
    keepAliveTimeout: 0,
    requestTimeout: 0,
    SNICallback(id, done) {
      const found = contextOf(id);
      if (found === undefined) waiting.set(id, () => done(null, contextOf(id)));
      else done(null, found);
    },
  },
  (request, response) => {
    request.resume();
    request.once("end", () => {
      const health = { state: "idle", runtime: "node24", protocol: 1 };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(request.url === PROTOCOL_PATHS.health ? health : { importMs: 0, kind: "simulated" }));
    });
  },
);
await follow();
server.listen(POD_PORT, address, () => process.stdout.write("listening\n"));
