// Short functions around kubectl for the suite's tests.
import { inject } from "vitest";
import { run } from "./cluster.ts";

export const kubectl = (args: string[], input?: string): Promise<string> => run(inject("cluster"), "kubectl", args, input);
export const helm = (args: string[]): Promise<string> => run(inject("cluster"), "helm", args);

/** Creates the objects in the given order; rejects with the API server's message. */
export async function create(...objects: object[]): Promise<void> {
  for (const object of objects) await kubectl(["create", "-f", "-"], JSON.stringify(object));
}

/** Asks the real API server in a dry run. Resolves with its refusal, or undefined when it would take the object. */
export async function refusal(object: object): Promise<string | undefined> {
  return await kubectl(["create", "--dry-run=server", "-f", "-"], JSON.stringify(object)).then(
    () => undefined,
    (error: Error) => error.message,
  );
}

/** The service account of a new namespace appears a moment after it, and no pod starts before. */
export async function createNamespace(namespace: object & { metadata?: { name?: string } }): Promise<void> {
  await create(namespace);
  await kubectl(["wait", "--for=create", "serviceaccount/default", "-n", namespace.metadata?.name ?? "", "--timeout=20s"]);
}

export const waitReady = (namespace: string, pod: string): Promise<string> =>
  kubectl(["wait", "--for=condition=Ready", `pod/${pod}`, "-n", namespace, "--timeout=60s"]);

export const exec = (namespace: string, pod: string, ...command: string[]): Promise<string> =>
  kubectl(["exec", "-n", namespace, pod, "--", ...command]);

export const deleteNamespaces = (...names: string[]): Promise<string> =>
  kubectl(["delete", "namespace", ...names, "--ignore-not-found", "--wait=false"]);
