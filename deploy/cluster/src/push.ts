// `npm run cluster:push -- https://registry/prefix`: builds all images and pushes them; prints what the chart's values need.
// FNCTL_REGISTRY_USERNAME and FNCTL_REGISTRY_PASSWORD are used if the registry asks for credentials.
import { tmpdir } from "node:os";
import { createRegistryStore } from "@fnctl/control-plane/images/registry/store";
import { pushImages } from "./platform-image.ts";

const [url] = process.argv.slice(2);
const {
  FNCTL_REGISTRY_USERNAME: username,
  FNCTL_REGISTRY_PASSWORD: password,
  FNCTL_CACHE_DIR: cacheDir = "/var/cache/fnctl",
} = process.env;
if (url === undefined || !/^https?:\/\//.test(url)) {
  process.stderr.write("usage: npm run cluster:push -- https://registry.example.com/fnctl\n");
  process.exit(2);
}
const credentials = username === undefined || password === undefined ? undefined : { username, password };
const store = createRegistryStore({ url, spoolDir: tmpdir(), credentials });
const { platform } = await pushImages(store, cacheDir, (line) => void process.stderr.write(`${line}\n`));
const { host, pathname } = new URL(url);
const prefix = `${host}${pathname.replace(/\/$/, "")}`;
process.stdout.write(`image:\n  prefix: ${prefix}\n  digest: ${platform}\nregistry:\n  url: ${url}\n`);
process.exit(0);
