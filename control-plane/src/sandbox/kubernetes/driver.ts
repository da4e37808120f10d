// SandboxDriver on Kubernetes: one pod for each sandbox, in its tenant's namespace. The API server holds the state; a pod's annotations
// name its spec and the loaded image, so that a restarted control plane can adopt it.
import type { KubeConfig } from "@kubernetes/client-node";
import { PlatformError } from "../../contract/errors.ts";
import type { ImageRef, Sandbox, SandboxDriver, SandboxSpec, Loading } from "../driver.ts";
import { createInstanceCertificate } from "./certificate.ts";
import { calling } from "../../cluster/api-error.ts";
import { createPodHealth } from "./pod-health.ts";
import { createKeyedMutex } from "../../service/keyed-mutex.ts";
import { createIsolations, type Isolations } from "./isolations.ts";
import { knock } from "./knock.ts";
import { createStandingConnections } from "../../sandbox-client/standing-connections.ts";
import { podName, tenantNamespace, type Platform } from "../../cluster/labels.ts";
import { POD_LIFE_S, instancePod, type Enters } from "./objects/pod.ts";
import { imageOf, isRunning, startFailure, type Pod } from "./pod-state.ts";
import { createPods } from "./pods.ts";
import { createPulse } from "./pulse.ts";
import { sendCode, type Layer } from "../../sandbox-client/send-code.ts";
import { createTenants, type TenantSettings } from "./tenants.ts";
import { untilUp } from "./until-up.ts";

export interface KubernetesDriverOptions {
  config: KubeConfig;
  platform: Platform;
  tenants: TenantSettings;
  /** The image reference, by digest, by which nodes pull a base. */
  imageOf(base: string): string;
  /** What the first program of a base can do. */
  enters(base: string): Promise<Enters>;
  /** A version's code layer. Rejects when it does not exist. */
  layer(tenantId: string, digest: string): Promise<Layer>;
  /** The egress proxy's URL with a credential for this one instance. */
  egressOf(spec: SandboxSpec): Promise<string | undefined>;
  /** Rejects until the sandbox's class and its network have been verified. */
  verified?(spec: SandboxSpec): Promise<void>;
  onError(error: unknown): void;
}
export interface KubernetesDriver extends SandboxDriver {
  /** The image that was loaded into a sandbox, and its node; also for a sandbox that is ending. */
  look(id: string): Promise<{ image: ImageRef | undefined; node: string | undefined } | undefined>;
  /** Which classes of sandboxes the cluster has. */
  classes: Isolations;
  /** Stops watching pods; running pods go on. */
  close(): Promise<void>;
}

const CERTIFICATE_MS = (POD_LIFE_S + 24 * 3600) * 1000;

export async function createKubernetesDriver(options: KubernetesDriverOptions): Promise<KubernetesDriver> {
  const { config, platform } = options;
  const pods = createPods(config, platform, options.onError);
  const tenants = createTenants(config, platform, options.tenants);
  const isolations = createIsolations(config, options.onError);
  const connections = createStandingConnections();
  const pulse = createPulse({ knock, onError: options.onError });
  const starting = new Map<string, Promise<Sandbox>>();
  const { healthy, mustDescribe, list } = createPodHealth({ pods, connections, pulse, isStarting: (id) => starting.has(id) });
  /** One load at a time for each sandbox, so that a second caller sees the result of the first. */
  const oneAtATime = createKeyedMutex();

  await isolations.refresh();
  await pods.openAll();
  for (const pod of await pods.all()) if (isHalfMade(pod)) removeByName(pod).catch(options.onError); // a takeover does not wait for it

  async function removeByName(pod: Pod): Promise<void> {
    await pods.remove({ pod, watch: await pods.watch(pod.metadata.namespace) });
  }

  async function launch(spec: SandboxSpec): Promise<Sandbox> {
    const { tenantId } = spec;
    if (tenantId === undefined) throw new PlatformError("SANDBOX_FAILED", "A pod needs the tenant whose namespace it is started in.");
    // The namespace comes first, so that its floor refuses pods with a weaker isolation even while the cluster lacks the stronger one.
    await tenants.prepare(tenantId, spec.floor ?? "gvisor");
    await isolations.require(spec.isolation);
    await options.verified?.(spec);
    const watch = await pods.watch(tenantNamespace(platform, tenantId));
    const enters = await options.enters(spec.base);
    refuseOldBase(spec, enters);
    const own = await createInstanceCertificate(spec.id, CERTIFICATE_MS);
    const object = instancePod({
      platform,
      spec: { ...spec, tenantId },
      image: options.imageOf(spec.base),
      ...own,
      egress: spec.egress ? await options.egressOf(spec) : undefined,
      enters,
    });
    const pod = await calling(`create pod ${podName(spec.id)}`, pods.create(object));
    watch.note(pod);
    try {
      await untilUp(spec, pod, watch, (address) => connections.to(spec.id, address));
    } catch (error) {
      connections.drop(spec.id);
      await pods.remove({ pod, watch }).catch(options.onError);
      throw error;
    }
    healthy.add(spec.id);
    return mustDescribe(watch.get(podName(spec.id)));
  }

  async function start(spec: SandboxSpec): Promise<Sandbox> {
    const known = starting.get(spec.id);
    if (known !== undefined) return known;
    const found = await pods.find(spec.id);
    if (found !== undefined && healthy.has(spec.id)) return mustDescribe(found.pod);
    const begun = starting.get(spec.id) ?? launch(spec).finally(() => starting.delete(spec.id));
    starting.set(spec.id, begun);
    return begun;
  }

  async function beginLoad(id: string, image: ImageRef): Promise<Loading> {
    const found = await pods.find(id);
    if (found === undefined) throw new PlatformError("NOT_FOUND", "No such sandbox.");
    const instance = mustDescribe(found.pod);
    if (instance.state === "ended") throw new PlatformError("FUNCTION_CRASHED", "The sandbox has ended.");
    const taken = imageOf(found.pod);
    if (taken !== undefined && JSON.stringify(taken) === JSON.stringify(image)) return { sandbox: instance, settled: Promise.resolve() };
    if (taken !== undefined || instance.tenantId !== image.tenantId)
      throw new PlatformError("CONFLICT", "The sandbox already belongs to another version or tenant.");
    if (instance.address === undefined) throw new PlatformError("SANDBOX_FAILED", "The sandbox has no address.");
    const layer = await options.layer(image.tenantId, image.layer);
    // The claim runs while the code is sent: if the control plane dies in between, the pod's annotation names its version, or its health
    // report names the code in it, and in both cases it is given to no other version.
    const settled = pods.claim(found, JSON.stringify(image)).then(() => undefined);
    settled.catch(() => undefined); // the caller handles it; this avoids an unhandled rejection when sending fails first
    await sendCode(connections.to(id, instance.address), image.layer, layer);
    return { sandbox: { ...instance, image, state: "loaded" }, settled };
  }
  async function load(id: string, image: ImageRef): Promise<Sandbox> {
    const { sandbox, settled } = await beginLoad(id, image);
    await settled;
    return sandbox;
  }

  async function stop(id: string): Promise<void> {
    await starting.get(id)?.catch(() => undefined);
    await oneAtATime(id, async () => undefined); // waits until nothing is being sent to it
    connections.drop(id);
    const found = await pods.find(id);
    if (found !== undefined) await pods.remove(found);
    healthy.delete(id);
  }

  async function removeTenant(tenantId: string): Promise<void> {
    const name = tenantNamespace(platform, tenantId);
    const theirs = (await pods.all()).filter(({ metadata }) => metadata.namespace === name);
    await Promise.all(theirs.map(removeByName));
    await pods.forget(name);
    await tenants.remove(tenantId);
  }
  async function look(id: string) {
    const pod = (await pods.find(id))?.pod;
    return pod === undefined ? undefined : { image: imageOf(pod), node: pod.spec.nodeName };
  }

  return {
    name: "kubernetes",
    get isolations() {
      return isolations.available();
    },
    start,
    load: (id, image) => oneAtATime(id, () => load(id, image)),
    beginLoad: (id, image) => oneAtATime(id, () => beginLoad(id, image)),
    stop,
    list,
    removeTenant,
    takeConnection: (id) => connections.take(id),
    classes: isolations,
    close() {
      pulse.close();
      connections.close();
      return pods.close();
    },
    look,
  };
}

/** A pod whose start an earlier control plane began and did not finish: only the owner starts pods, so nobody else can be finishing it. */
const isHalfMade = (pod: Pod): boolean => !isRunning(pod) && startFailure(pod) === undefined;

/** In Kata only the base's first program limits volumes, processes and system calls; a base that cannot do this is refused. */
function refuseOldBase({ isolation }: SandboxSpec, enters: Enters): void {
  if (isolation !== "kata" || enters === "fully") return;
  throw new PlatformError("ISOLATION_UNAVAILABLE", "This version's base image is from before functions were bounded in Kata.", {
    hint: "Deploy it again: a new version gets a newer base.",
  });
}
