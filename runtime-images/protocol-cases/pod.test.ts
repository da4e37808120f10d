// Both bootstraps in a pod: they talk only to a peer that trusts this instance's own certificate, and accept only the promised code.
import { connect } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { findRunsc } from "../base/find-runsc.ts";
import { CODE_BYTES, ID, digestOf, layerTar, makeCertificate, startPod, type Pod } from "./pod-harness.ts";

const RUNTIMES = {
  node24: {
    file: "index.js",
    source: `export default { fetch: (request) => Response.json({ a: process.env.A, names: Object.keys(process.env) }) };\n`,
    packageJson: { "package.json": '{"type":"module"}' },
  },
  "python3.13": {
    file: "main.py",
    source: `import json, os\ndef app(environ, start):\n    start("200 OK", [("content-type", "application/json")])\n    return [json.dumps({"a": os.environ["A"], "names": list(os.environ)}).encode()]\n`,
    packageJson: {},
  },
} as const;

const { missing } = findRunsc();
describe.skipIf(missing !== undefined).each(["node24", "python3.13"] as const)(`in a pod: %s ${missing ?? ""}`, (name) => {
  const { file, source, packageJson } = RUNTIMES[name];
  let pod: Pod;
  afterEach(() => pod.stop());
  const good = () => layerTar({ ...packageJson, [file]: source });

  test("the code is taken once, then init, then requests; user code does not see how it listens", async () => {
    pod = await startPod(name);
    expect(await pod.health()).toEqual({ state: "idle", runtime: name, protocol: 1 });
    expect((await pod.init(file)).status).toBe(409); // the code comes first
    const layer = await good();
    expect((await pod.put(layer)).status).toBe(201);
    expect(await pod.health()).toMatchObject({ state: "idle", code: digestOf(layer) });
    expect((await pod.put(layer)).status).toBe(200);
    expect((await pod.put(await layerTar({ other: "x" }))).status).toBe(409);
    expect((await pod.init(file)).status).toBe(200);
    const seen = JSON.parse((await pod.ask("/")).text) as { a: string; names: string[] };
    expect(seen.a).toBe("from init");
    expect(seen.names.filter((entry) => /TLS|CODE_BYTES/.test(entry))).toEqual([]);
    expect((await pod.put(layer)).status).toBe(409);
  });

  test("who does not trust this very instance sends it nothing; TLS 1.2 is refused", async () => {
    pod = await startPod(name);
    await expect(pod.ask("/", { pin: makeCertificate(ID).certificate })).rejects.toThrow(/certificate|signature/);
    const old = connect({ host: "127.0.0.1", port: pod.port, ca: pod.certificate, servername: ID, maxVersion: "TLSv1.2" });
    await expect(new Promise((resolve, reject) => old.once("secureConnect", resolve).once("error", reject))).rejects.toThrow(
      /protocol|alert|disconnected/,
    );
    expect(await pod.health()).toMatchObject({ state: "idle" });
  });

  test("code up to the limit is taken", async () => {
    pod = await startPod(name);
    const empty = await layerTar({ ...packageJson, [file]: source });
    // One header and a file that fills all blocks left; the end of the archive is 1024 bytes (tar, POSIX.1-2017 pax).
    const full = await layerTar({ ...packageJson, [file]: source, "zz.bin": "x".repeat(CODE_BYTES - empty.length - 512) });
    expect(full.length).toBe(CODE_BYTES);
    expect((await pod.put(full)).status).toBe(201);
  });

  const link = { name: "function/code/l", type: "symlink", linkname: "/etc/passwd" } as const;
  test.each([
    ["one block above the limit", 413, () => layerTar({ a: "x".repeat(CODE_BYTES) }), undefined],
    ["other bytes than promised", 422, () => layerTar({ a: "b" }), digestOf(Buffer.from("x"))],
    ["a link", 422, () => layerTar({ a: "b" }, [[link]]), undefined],
    ["a path that climbs", 422, () => layerTar({ "../../x": "b" }), undefined],
    ["an absolute path", 422, () => layerTar({}, [[{ name: "/etc/x" }, "b"]]), undefined],
    ["a path beside the code", 422, () => layerTar({}, [[{ name: "function/other" }, "b"]]), undefined],
    ["a device", 422, () => layerTar({}, [[{ name: "function/code/d", type: "character-device" }]]), undefined],
    [
      "the same file twice",
      422,
      () =>
        layerTar({}, [
          [{ name: "function/code/a" }, "1"],
          [{ name: "function/code/a" }, "2"],
        ]),
      undefined,
    ],
    ["half an archive", 422, async () => (await layerTar({ a: "b".repeat(2000) })).subarray(0, 2048), undefined],
  ])("%s is refused with %i, and the instance is of no further use", async (_what, status, make, digest) => {
    pod = await startPod(name);
    const layer = await make();
    const answer = await pod.put(layer, digest);
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining('"code"')]);
    expect(await pod.health()).toMatchObject({ state: "failed" });
    expect((await pod.init(file)).status).toBe(409);
  });
});
