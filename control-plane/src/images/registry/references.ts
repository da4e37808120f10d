// Tags of a repository: listed page by page, and removed without touching what other tags point to.
import { z } from "zod";
import { MEDIA } from "../oci.ts";
import type { RegistryClient } from "./client.ts";
import { parseAs, type Documents } from "./documents.ts";
import { sha256 } from "../../service/digest.ts";

const tagsSchema = z.object({ tags: z.array(z.string()).nullable().optional() });
const PAGE = 1000;
const ANY_MANIFEST = { accept: `${MEDIA.manifest}, ${MEDIA.index}` };

export function createReferences(client: RegistryClient, documents: Documents) {
  const at = client.path;
  /** When this process last wrote a reference: a registry shows no times. */
  const written = new Map<string, number>();

  async function list(repository: string): Promise<string[]> {
    const all: string[] = [];
    for await (const { bytes } of documents.pages(`${at(repository)}/tags/list?n=${PAGE}`, at(repository)))
      all.push(...(parseAs(tagsSchema, bytes, "list of tags").tags ?? []));
    return all;
  }

  /** Undefined when the tag is gone. */
  async function digestOf(repository: string, reference: string): Promise<string | undefined> {
    const asked = { to: `${at(repository)}/manifests/${reference}`, repository: at(repository), headers: ANY_MANIFEST };
    const answer = await client.call({ ...asked, method: "HEAD", expect: [200, 404] });
    if (answer.statusCode === 404) return undefined;
    const told = answer.headers["docker-content-digest"];
    if (typeof told === "string") return told;
    const found = await documents.find(asked); // a registry need not tell
    return found === undefined ? undefined : sha256(found.bytes);
  }

  /** 400 and 405: not this way, or not in this registry. */
  async function erase(repository: string, what: string): Promise<number> {
    const to = `${at(repository)}/manifests/${what}`;
    return (await client.call({ method: "DELETE", to, repository: at(repository), expect: [200, 202, 400, 404, 405] })).statusCode;
  }

  /** Registries that delete by digest only: that would take other tags of the same image along, so it is done when there are none. */
  async function removeAlone(repository: string, reference: string): Promise<void> {
    const digest = await digestOf(repository, reference);
    if (digest === undefined) return;
    for (const other of await list(repository)) if (other !== reference && (await digestOf(repository, other)) === digest) return;
    await erase(repository, digest); // 405: this registry deletes nothing, which is its operator's choice
  }

  return {
    list,
    digestOf,
    erase,
    noteUse: (repository: string, reference: string): void => void written.set(`${repository}/${reference}`, Date.now()),
    usedSince: (repository: string, reference: string, since: number): boolean => (written.get(`${repository}/${reference}`) ?? 0) >= since,
    async remove(repository: string, reference: string): Promise<void> {
      const status = await erase(repository, reference);
      if (status === 400 || status === 405) await removeAlone(repository, reference);
    },
  };
}
export type References = ReturnType<typeof createReferences>;
