// Documents that a registry holds: read whole, capped, checked against the digest that was asked for and against their schema.
import type { z } from "zod";
import { PlatformError } from "../../contract/errors.ts";
import { REGISTRY_LIMITS, type Call, type Head, type RegistryClient } from "./client.ts";
import { sha256 } from "../../service/digest.ts";

export function createDocuments(client: RegistryClient) {
  /** Resolves with undefined when the registry has no such document. */
  async function find(asked: Omit<Call, "method" | "expect">, digest?: string): Promise<(Head & { bytes: Buffer }) | undefined> {
    const answer = await client.document({ ...asked, method: "GET", expect: [200, 404] });
    if (answer.statusCode === 404) return undefined;
    if (digest !== undefined && sha256(answer.bytes) !== digest)
      throw new PlatformError("INTERNAL", `The registry's ${digest} has other bytes.`);
    return answer;
  }

  return {
    find,
    async read(asked: Omit<Call, "method" | "expect">, digest?: string): Promise<Buffer> {
      const answer = await find(asked, digest);
      if (answer === undefined) throw new PlatformError("NOT_FOUND", `The image registry has no such thing (GET in ${asked.repository}).`);
      return answer.bytes;
    },
    /**
     * Yields page after page by following Link fields (distribution-spec, "Listing Tags"); yields nothing when the first page does not
     * exist.
     */
    async *pages(first: string, repository: string, headers: Record<string, string> = {}): AsyncGenerator<Head & { bytes: Buffer }> {
      let to: string | URL | undefined = first;
      for (let page = 0; to !== undefined; page++) {
        if (page === REGISTRY_LIMITS.pages)
          throw new PlatformError("UNAVAILABLE", `A list of the image registry has more than ${page} pages (${repository}).`);
        const answer = await find({ to, repository, headers });
        if (answer === undefined) return;
        yield answer;
        to = nextPage(client.registry, answer);
      }
    },
  };
}
export type Documents = ReturnType<typeof createDocuments>;

function nextPage(registry: URL, { headers }: Head): URL | undefined {
  const next = /<([^>]+)>;\s*rel="?next"?/.exec(String(headers["link"] ?? ""))?.[1];
  if (next === undefined) return undefined;
  const url = new URL(next, registry);
  if (url.origin !== registry.origin) throw new PlatformError("UNAVAILABLE", "The image registry's list goes on at another place.");
  return url;
}

/** Parses a document that a registry sent by the schema that it must match. */
export function parseAs<T extends z.ZodType>(schema: T, bytes: Buffer, what: string): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    value = undefined;
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new PlatformError(
    "UNAVAILABLE",
    `The image registry's ${what} is not one: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    {
      hint: "An image needs an OCI manifest and a config with user, environment, entry point and working directory.",
    },
  );
}
