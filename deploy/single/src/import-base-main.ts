// Puts one base image into the image store, running under the store's uid. It reads a root file system as a tar from stdin and prints the
// image's digest.
import "@fnctl/control-plane/service/shutdown";
import { createLayoutStore } from "@fnctl/control-plane/images/layout-store";
import { MEDIA, baseImage } from "@fnctl/control-plane/images/oci";
import { z } from "zod";

const schema = z.strictObject({
  images: z.string().startsWith("/"),
  name: z.string(),
  process: z.strictObject({ args: z.array(z.string()), env: z.array(z.string()), cwd: z.string() }),
});

const { images, name, process: command } = schema.parse(JSON.parse(process.argv[2] ?? ""));
const store = createLayoutStore(images);
const layer = await store.putBlob("base", MEDIA.layer, process.stdin);
const image = baseImage({ layer, process: command });
await store.putImage("base", name, image);
process.stdout.write(image.manifest.descriptor.digest);
