import pg from "pg";

interface NewOrder {
  item: string;
  quantity: number;
}
const TABLE = `
  SELECT pg_advisory_xact_lock(7); -- instances that start at once would make it at once
  CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item text NOT NULL,
    quantity int NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
  )`;

// Each instance has a pool of its own, so the database sees at most `max` times the instances of the function.
const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"], max: 5, connectionTimeoutMillis: 5_000 });
pool.on("error", (error) => console.error("a connection to the database was lost:", error.message));

let made: Promise<unknown> | undefined;
const table = (): Promise<unknown> =>
  (made ??= pool.query(TABLE).catch((error: unknown) => {
    made = undefined; // the next request tries again
    throw error;
  }));

const isOrder = (value: unknown): value is NewOrder => {
  const { item, quantity } = (value ?? {}) as Partial<NewOrder>;
  return typeof item === "string" && item !== "" && Number.isInteger(quantity) && quantity! > 0 && quantity! <= 1_000;
};

async function add(request: Request): Promise<Response> {
  const order: unknown = await request.json().catch(() => undefined);
  if (!isOrder(order)) return Response.json({ error: "send an item and a quantity from 1 to 1000" }, { status: 400 });
  const { rows } = await pool.query("INSERT INTO orders (item, quantity) VALUES ($1, $2) RETURNING id::int, item, quantity", [
    order.item,
    order.quantity,
  ]);
  console.log("order", rows[0].id);
  return Response.json(rows[0], { status: 201 });
}

async function list(): Promise<Response> {
  const { rows } = await pool.query("SELECT id::int, item, quantity FROM orders ORDER BY id DESC LIMIT 20");
  return Response.json(rows);
}

export default async (request: Request): Promise<Response> => {
  try {
    await table();
    return request.method === "POST" ? await add(request) : await list();
  } catch (error) {
    console.error("the database failed:", (error as Error).message);
    return Response.json({ error: "the database does not answer" }, { status: 503 });
  }
};
