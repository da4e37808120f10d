import sharp from "sharp";

export default async (request: Request): Promise<Response> => {
  const width = Math.min(2000, Number(new URL(request.url).searchParams.get("width") ?? 200));
  if (request.method === "GET") {
    const sample = await sharp({ create: { width: 64, height: 64, channels: 3, background: "#2563eb" } }).webp().toBuffer();
    return new Response(sample as BodyInit, { headers: { "content-type": "image/webp" } });
  }
  try {
    const thumbnail = await sharp(await request.arrayBuffer()).resize({ width }).webp().toBuffer();
    return new Response(thumbnail as BodyInit, { headers: { "content-type": "image/webp" } });
  } catch (error) {
    return Response.json({ error: `not an image: ${(error as Error).message}` }, { status: 415 });
  }
};
