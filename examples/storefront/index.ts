const STOCK = "http://fastapi-app.fn.internal/items/apple";
const ORDERS = "http://orders-api.fn.internal/";

/** Headers that go on with every call that this request causes: the trace, and the chain of functions, by which the platform ends circles. */
const PASSED_ON = ["x-fnctl-chain", "traceparent"];
const passedOn = ({ headers }: Request): [string, string][] => PASSED_ON.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!]] : []));

export default async (request: Request): Promise<Response> => {
  const headers = new Headers(passedOn(request));
  try {
    if (request.method !== "POST") {
      const stock = await fetch(STOCK, { headers });
      return Response.json({ apples: ((await stock.json()) as { quantity: number }).quantity });
    }
    headers.set("content-type", "application/json");
    const answer = await fetch(ORDERS, { method: "POST", headers, body: await request.text() });
    return new Response(answer.body, { status: answer.status, headers: { "content-type": "application/json" } });
  } catch (error) {
    console.error("a call failed:", (error as Error).cause ?? error);
    return Response.json({ error: "try again later" }, { status: 502 });
  }
};
