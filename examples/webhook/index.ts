import { createHmac, timingSafeEqual } from "node:crypto";

const key = process.env["WEBHOOK_KEY"] ?? "";

function genuine(body: Uint8Array, signature: string): boolean {
  const expected = Buffer.from(`sha256=${createHmac("sha256", key).update(body).digest("hex")}`);
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

export default async (request: Request): Promise<Response> => {
  if (request.method === "GET") return Response.json({ send: "a POST with x-signature-256: sha256=<hex HMAC of the body>" });
  const body = new Uint8Array(await request.arrayBuffer());
  if (!genuine(body, request.headers.get("x-signature-256") ?? "")) return Response.json({ error: "bad signature" }, { status: 401 });
  const event = JSON.parse(new TextDecoder().decode(body)) as { type?: string };
  console.log("received", event.type ?? "an event without a type");
  return Response.json({ received: event.type ?? null });
};
