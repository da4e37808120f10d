// Tags of a repository: they are listed page by page, and removed without deleting the images of other tags.
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
  /** When this process last wrote each reference. It is kept here because a registry shows no times. */
  const written = new Map<string, number>();

  async function list(repository: string): Promise<string[]> {
    const all: string[] = [];
    for await (const { bytes } of documents.pages(`${at(repository)}/tags/list?n=${PAGE}`, at(repository)))
      all.push(...(parseAs(tagsSchema, bytes, "list of tags").tags ?? []));
    return all;
  }

  /** Resolves with undefined when the tag does not exist. */
  async function digestOf(repository: string, reference: string): Promise<string | undefined> {
    const asked = { to: `${at(repository)}/manifests/${reference}`, repository: at(repository), headers: ANY_MANIFEST };
    const answer = await client.call({ ...asked, method: "HEAD", expect: [200, 404] });
    if (answer.statusCode === 404) return undefined;
    const told = answer.headers["docker-content-digest"];
    if (typeof told === "string") return told;
    const found = await documents.find(asked); // a registry need not send the digest as a header
    return found === undefined ? undefined : sha256(found.bytes);
  }

  /** Resolves with the status; 400 and 405 mean that this registry does not delete in this way, or not at all. */
  async function erase(repository: string, what: string): Promise<number> {
    const to = `${at(repository)}/manifests/${what}`;
    return (await client.call({ method: "DELETE", to, repository: at(repository), expect: [200, 202, 400, 404, 405] })).statusCode;
  }

  /** For registries that delete by digest only. That also deletes all other tags of the image, so it is done only when there are none. */
  async function removeAlone(repository: string, reference: string): Promise<void> {
    const digest = await digestOf(repository, reference);
    if (digest === undefined) return;
    for (const other of await list(repository)) if (other !== reference && (await digestOf(repository, other)) === digest) return;
    await erase(repository, digest); // 405, which its operator chose to configure, is accepted: this registry deletes nothing
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
