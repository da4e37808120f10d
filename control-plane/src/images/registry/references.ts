// Tags of a repository: listed page by page, and removed without touching what other tags point to.
import { z } from "zod";
import { MEDIA } from "../oci.ts";
import { document, type RegistryClient } from "./client.ts";

const tagsSchema = z.object({ tags: z.array(z.string()).nullable().optional() });
const PAGE = 1000;
const MOST_PAGES = 100;

export function createReferences(client: RegistryClient) {
  const at = client.path;
  /** When this process last wrote a reference: a registry shows no times. */
  const written = new Map<string, number>();

  async function list(repository: string): Promise<string[]> {
    const all: string[] = [];
    let to: string | URL | undefined = `${at(repository)}/tags/list?n=${PAGE}`;
    for (let page = 0; to !== undefined && page < MOST_PAGES; page++) {
      const answer = await client.call({ method: "GET", to, repository: at(repository), expect: [200, 404] });
      const bytes = await document(answer);
      if (answer.statusCode === 404) return all;
      all.push(...(tagsSchema.parse(JSON.parse(bytes.toString())).tags ?? []));
      const next: string | undefined = /<([^>]+)>;\s*rel="?next"?/.exec(String(answer.headers["link"] ?? ""))?.[1];
      to = next === undefined ? undefined : new URL(next, client.registry);
    }
    return all;
  }

  /** Undefined when the tag is gone. */
  async function digestOf(repository: string, reference: string): Promise<string | undefined> {
    const answer = await client.call({
      method: "HEAD",
      to: `${at(repository)}/manifests/${reference}`,
      repository: at(repository),
      headers: { accept: MEDIA.manifest },
      expect: [200, 404],
    });
    await answer.body.dump();
    return answer.statusCode === 200 ? String(answer.headers["docker-content-digest"]) : undefined;
  }

  const erase = async (repository: string, what: string): Promise<number> => {
    const to = `${at(repository)}/manifests/${what}`;
    const answer = await client.call({ method: "DELETE", to, repository: at(repository), expect: [200, 202, 400, 404, 405] });
    await answer.body.dump();
    return answer.statusCode;
  };

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
    noteUse: (repository: string, reference: string): void => void written.set(`${repository}/${reference}`, Date.now()),
    usedSince: (repository: string, reference: string, since: number): boolean => (written.get(`${repository}/${reference}`) ?? 0) >= since,
    async remove(repository: string, reference: string): Promise<void> {
      const status = await erase(repository, reference);
      if (status === 400 || status === 405) await removeAlone(repository, reference);
    },
  };
}
