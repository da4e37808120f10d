// Rows of all tenants, page by page, in the order of their primary keys: each page is one short statement, however many rows there are.
import type { PageStart } from "../db/system-database.ts";
import type { Page } from "./topic.ts";

/** Rows of a page: some milliseconds of the database, and of this process. */
export const PAGE_ROWS = 1_000;

export async function readPage<Row, Item>(
  after: string | undefined,
  read: (after: PageStart | undefined, most: number) => PromiseLike<Row[]>,
  keyOf: (row: Row) => PageStart,
  toItem: (row: Row) => Item,
): Promise<Page<Item>> {
  const [tenantId = "", id = ""] = after?.split("/") ?? [];
  const rows = await read(after === undefined ? undefined : { tenantId, id }, PAGE_ROWS);
  const last = rows.at(-1);
  const next = rows.length < PAGE_ROWS || last === undefined ? undefined : `${keyOf(last).tenantId}/${keyOf(last).id}`;
  return { items: rows.map(toItem), next };
}
