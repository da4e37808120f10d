// Schemas for resources as the CLI reads them, looser than the contract, so that an older CLI works with a newer platform.
import { functionDetailSchema, functionSchema, page, versionSchema } from "@fnctl/control-plane/contract/resources";
import { z } from "zod";
import type { ApiClient } from "./client.ts";

export const looseVersion = versionSchema.extend({ config: z.record(z.string(), z.unknown()) });
export type LooseVersion = z.infer<typeof looseVersion>;
const looseState = { state: z.string().optional() };
export const looseDetail = functionDetailSchema.extend({ live: looseVersion.nullable(), ...looseState });

/** The live version, or the reason why there is none. */
export function liveText({ liveVersion, state }: { liveVersion: number | null; state?: string | undefined }): string {
  if (liveVersion !== null) return `v${liveVersion}`;
  return state === undefined || state === "not-live" ? "none" : `none: ${state.replaceAll("-", " ")}`;
}

export const functionPath = (name: string, rest = ""): string => `/v1/functions/${encodeURIComponent(name)}${rest}`;

/** Every item of a paged list, page by page. */
export async function* allOf<T extends z.ZodType>(api: ApiClient, item: T, path: string): AsyncGenerator<z.infer<T>> {
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? "?limit=200" : `?limit=200&cursor=${encodeURIComponent(cursor)}`;
    const got: { items: z.infer<T>[]; nextCursor: string | null } = await api.json(page(item), "GET", path + query);
    yield* got.items;
    cursor = got.nextCursor;
  } while (cursor !== null);
}

/** Does what Array.fromAsync does, which Node 20 lacks. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export const allFunctions = (api: ApiClient) => collect(allOf(api, functionSchema.extend(looseState), "/v1/functions"));
