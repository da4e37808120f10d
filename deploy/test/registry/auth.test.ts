// Authentication for push and pull: passwords and tokens against real registries that ask for them, and hosts that credentials must not be
// sent to.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { MEDIA } from "@fnctl/control-plane/images/oci";
import type { ImageStore } from "@fnctl/control-plane/images/layout-store";
import { REGISTRY_LIMITS } from "@fnctl/control-plane/images/registry/client";
import { startFront } from "./front.ts";
import { createStoreAt, type StoreAt } from "./harness.ts";
import { startRegistry, type RegistryProcess } from "./registry-process.ts";
import { ISSUER, SERVICE, USER, startTokenService, type TokenService } from "./token-service.ts";
import { sha256 } from "@fnctl/control-plane/service/digest";

/** Entry with the hash of USER's password, as htpasswd -B makes it. */
const HTPASSWD = "robot:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";
const WRONG = { username: USER.username, password: "open barley" };
const UNAVAILABLE = { code: "UNAVAILABLE", hint: expect.stringMatching(/credentials/) as string };
const bytes = randomBytes(1000);
const digest = sha256(bytes);
let folder: string;
let place: StoreAt;
beforeAll(async () => void ([folder, place] = [await mkdtemp(path.join(tmpdir(), "fnctl-auth-")), await createStoreAt()]));
afterAll(async () => void (await Promise.all([rm(folder, { recursive: true, force: true }), place?.close()])));

const push = (store: ImageStore, name = "own") => store.putBlob(name, MEDIA.layer, Readable.from([bytes]));
const pull = async (store: ImageStore, name = "own") => sha256(Buffer.concat(await store.readBlob(name, digest).toArray()));

async function htpasswd(): Promise<Record<string, unknown>> {
  const file = path.join(folder, "htpasswd");
  await writeFile(file, HTPASSWD);
  return { htpasswd: { realm: "test", path: file } };
}

describe("a registry that asks for a password", () => {
  let registry: RegistryProcess;
  beforeAll(async () => void (registry = await startRegistry({ auth: await htpasswd() })));
  afterAll(() => registry?.close());

  it("takes the right one", async () => {
    const store = place.open(registry.host, { credentials: USER });
    await push(store);
    expect(await pull(store)).toBe(digest);
  });

  it("refuses a wrong one, and says what to do", async () => {
    await expect(push(place.open(registry.host, { credentials: WRONG }))).rejects.toMatchObject(UNAVAILABLE);
  });

  it("is told of missing credentials, not asked again", async () => {
    const front = await startFront(registry.host);
    const error = { ...UNAVAILABLE, message: expect.stringMatching(/none are set/) as string };
    const seen = await front.during(() => expect(push(place.open(front.host))).rejects.toMatchObject(error));
    expect(seen.map(({ status }) => status)).toEqual([401]);
    await front.close();
  });

  it("hears the password only after it asked", async () => {
    const front = await startFront(registry.host);
    const seen = await front.during(() => push(place.open(front.host, { credentials: USER }), "another"));
    expect(seen[0]).toMatchObject({ status: 401 });
    expect(seen[0]!.headers.authorization).toBeUndefined();
    expect(seen[1]!.headers.authorization).toMatch(/^Basic /);
    await front.close();
  });

  it("may redirect to another place, which never hears the password", async () => {
    const open = await startRegistry();
    const elsewhere = await startFront(open.host);
    await push(place.open(open.host));
    const front = await startFront(registry.host, {
      answer({ method, path: asked, headers }, response) {
        if (!["GET", "HEAD"].includes(method) || !asked.includes("/blobs/sha256:") || headers.authorization === undefined) return false;
        response.writeHead(307, { location: `http://${elsewhere.host}${asked}` }).end();
        return true;
      },
    });
    const store = place.open(front.host, { credentials: USER });
    expect(await store.blobSize("own", digest)).toBe(bytes.length);
    expect(await pull(store)).toBe(digest);
    expect(elsewhere.seen.map(({ method }) => method)).toEqual(["HEAD", "GET"]);
    expect(elsewhere.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
    await Promise.all([front.close(), elsewhere.close(), open.close()]);
  });

  it.each([
    ["as often as its limit", REGISTRY_LIMITS.redirects, true],
    ["once more", REGISTRY_LIMITS.redirects + 1, false],
  ])("may redirect %s", async (_often, redirects, arrives) => {
    await push(place.open(registry.host, { credentials: USER }));
    const front = await startFront(registry.host, {
      answer({ method, path: asked, headers }, response) {
        const done = Number(new URL(asked, "http://front").searchParams.get("n") ?? 0);
        if (method !== "HEAD" || headers.authorization === undefined || done === redirects) return false;
        response.writeHead(307, { location: `${asked.split("?")[0]}?n=${done + 1}` }).end();
        return true;
      },
    });
    const size = place.open(front.host, { credentials: USER }).blobSize("own", digest);
    if (arrives) expect(await size).toBe(bytes.length);
    else await expect(size).rejects.toMatchObject({ code: "UNAVAILABLE", message: expect.stringMatching(/too often/) as string });
    await front.close();
  });
});

describe("a registry that asks for tokens", () => {
  let service: TokenService;
  let registry: RegistryProcess;
  const auth = async () => {
    const jwks = path.join(folder, "jwks.json");
    await writeFile(jwks, JSON.stringify(service.jwks));
    return { token: { realm: service.realm, service: SERVICE, issuer: ISSUER, jwks, signingalgorithms: ["ES256"] } };
  };
  beforeAll(async () => {
    service = await startTokenService();
    registry = await startRegistry({ auth: await auth() });
  });
  afterAll(async () => void (await Promise.all([registry?.close(), service?.close()])));
  const ordinary = { grant: (access: never) => access, behave: () => false, lifeSeconds: 300, saidSeconds: 300 };
  beforeEach(() => void (service.asked.length = 0));
  afterEach(() => void Object.assign(service, ordinary));

  it("gets one for each scope, and uses it as long as it lasts", async () => {
    const store = place.open(registry.host, { credentials: USER });
    await push(store);
    expect(await pull(store)).toBe(digest);
    const repository = `${place.prefix}/own`;
    expect(service.asked.map(({ scopes }) => scopes)).toEqual([
      [`repository:${repository}:pull`],
      [expect.stringMatching(/pull,push$|push,pull$/)],
    ]);
    expect(service.asked[0]).toMatchObject({ service: SERVICE, authorization: expect.stringMatching(/^Basic /) as string });
  });

  it("is answered with a token where it would take a password as well, whatever comes first", async () => {
    const front = await startFront(registry.host, {
      adjust(_seen, headers) {
        const challenge = headers["www-authenticate"];
        if (challenge !== undefined) Object.assign(headers, { "www-authenticate": ['Basic realm="test"', challenge] });
      },
    });
    await push(place.open(front.host, { credentials: USER }));
    expect(service.asked).not.toEqual([]);
    await front.close();
  });

  it("is told when it asks in a way that is not known", async () => {
    const front = await startFront(registry.host, { adjust: (_seen, headers) => void (headers["www-authenticate"] &&= "Digest realm=x") });
    const error = { ...UNAVAILABLE, message: expect.stringMatching(/asks for digest, which is not known/) as string };
    await expect(push(place.open(front.host, { credentials: USER }))).rejects.toMatchObject(error);
    await front.close();
  });

  it("asks for both repositories of a mount, each in a parameter of its own", async () => {
    const store = place.open(registry.host, { credentials: USER });
    await push(store, "from");
    await store.mountBlob("from", "to", digest);
    expect(await pull(store, "to")).toBe(digest);
    const mount = service.asked.find(({ scopes }) => scopes.length > 1)!;
    expect(mount.scopes.toSorted()).toEqual([`repository:${place.prefix}/from:pull`, expect.stringContaining(`${place.prefix}/to:`)]);
  });

  it("renews one that is about to end before it is used", async () => {
    const front = await startFront(registry.host);
    const store = place.open(front.host, { credentials: USER });
    service.saidSeconds = 1;
    await push(store);
    const before = service.asked.length;
    const seen = await front.during(async () => expect(await pull(store)).toBe(digest));
    expect(service.asked.length).toBe(before + 1);
    expect(seen.map(({ status }) => status)).toEqual([200]);
    await front.close();
  });

  it("renews one that the registry no longer takes: it has another key", async () => {
    const store = place.open(registry.host, { credentials: USER });
    await push(store);
    await registry.stop();
    service.jwks = await service.rotate();
    registry = await startRegistry({ auth: await auth(), again: registry });
    service.asked.length = 0;
    expect(await pull(store)).toBe(digest);
    expect(service.asked).toHaveLength(1);
  });

  it("does not go on asking with tokens that have ended already", async () => {
    const store = place.open(registry.host, { credentials: USER });
    service.lifeSeconds = -120; // more than the minute of grace that distribution allows
    await expect(push(store)).rejects.toMatchObject(UNAVAILABLE);
    expect(service.asked).toHaveLength(1);
  });

  it("refuses when the token does not allow it, and says what to do", async () => {
    service.grant = (access) => access.map((one) => ({ ...one, actions: one.actions.filter((action) => action === "pull") }));
    const store = place.open(registry.host, { credentials: USER });
    await expect(push(store, "refused")).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringMatching(/answered 401/) as string,
    });
  });

  it("refuses a wrong password, and says what to do", async () => {
    const error = { ...UNAVAILABLE, message: expect.stringMatching(/token service answered 401/) as string };
    await expect(push(place.open(registry.host, { credentials: WRONG }))).rejects.toMatchObject(error);
  });

  it("reads without credentials where that is allowed, and does not write", async () => {
    await push(place.open(registry.host, { credentials: USER }));
    service.asked.length = 0;
    expect(await pull(place.open(registry.host))).toBe(digest);
    expect(service.asked.map(({ authorization }) => authorization)).toEqual([undefined]);
    await expect(push(place.open(registry.host), "unknown")).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([
    ["of the largest size", 0, true],
    ["of a byte more", 1, false],
  ])("reads a token's document %s", async (_size, more, taken) => {
    const { host } = registry;
    service.behave = (response) => {
      const document = JSON.stringify({ token: "x" });
      response.end(document.padEnd(REGISTRY_LIMITS.documentBytes + more, " "));
      return true;
    };
    // The registry does not accept this token; its answer shows whether the store took the token and sent it.
    const message = expect.stringMatching(taken ? /answered 401 / : /too large/) as string;
    await expect(push(place.open(host, { credentials: USER }))).rejects.toMatchObject({ code: "UNAVAILABLE", message });
  });

  it.each([
    ["no JSON", "hello", /gives no token/],
    ["no token", "{}", /gives no token/],
    ["a token that is too long", JSON.stringify({ token: "x".repeat(16_385) }), /gives no token/],
    ["a token of the greatest length", JSON.stringify({ token: "x".repeat(16_384) }), /answered (401|431)/],
  ])("refuses a token service that sends %s", async (_what, text, message) => {
    service.behave = (response) => (response.end(text), true);
    await expect(push(place.open(registry.host, { credentials: USER }))).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringMatching(message) as string,
    });
  });

  it("tries a token service again that is busy, and follows none elsewhere", async () => {
    let left = REGISTRY_LIMITS.tries - 1;
    service.behave = (response) => left-- > 0 && (response.writeHead(503).end(), true);
    await push(place.open(registry.host, { credentials: USER }), "busy");
    service.behave = (response) => (response.writeHead(302, { location: `${service.realm}?elsewhere` }).end(), true);
    service.asked.length = 0;
    await expect(push(place.open(registry.host, { credentials: USER }))).rejects.toMatchObject(UNAVAILABLE);
    expect(service.asked).toHaveLength(1);
  });
});

describe("a registry with TLS", () => {
  let service: TokenService;
  let ca: string;
  let registry: RegistryProcess;
  const [key, certificate] = ["key.pem", "cert.pem"];
  beforeAll(async () => {
    service = await startTokenService();
    const subject = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"];
    const files = ["-keyout", path.join(folder, key), "-out", path.join(folder, certificate)];
    execFileSync("openssl", ["req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", ...subject, ...files], { stdio: "pipe" });
    ca = readFileSync(path.join(folder, certificate), "utf8");
    const jwks = path.join(folder, "jwks-tls.json");
    await writeFile(jwks, JSON.stringify(service.jwks));
    const token = { realm: service.realm, service: SERVICE, issuer: ISSUER, jwks, signingalgorithms: ["ES256"] };
    registry = await startRegistry({
      auth: { token },
      http: { tls: { certificate: path.join(folder, certificate), key: path.join(folder, key) } },
    });
  });
  afterAll(async () => void (await Promise.all([registry?.close(), service?.close()])));
  const open = (authority: string | undefined) =>
    place.open("", { url: `https://${registry.host}/test`, ca: authority, credentials: USER });

  it("sends no password to a token service without TLS", async () => {
    const error = { ...UNAVAILABLE, message: expect.stringMatching(/token service without TLS/) as string };
    await expect(push(open(ca))).rejects.toMatchObject(error);
    expect(service.asked).toEqual([]);
  });

  it("is not spoken to when its certificate is not trusted", async () => {
    await expect(push(open(undefined))).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("a registry with TLS and a password", () => {
  it("is pushed to and pulled from, and sends nobody to a place without TLS", async () => {
    const [key, certificate] = [path.join(folder, "key.pem"), path.join(folder, "cert.pem")];
    const http = { tls: { certificate, key } };
    const registry = await startRegistry({ auth: await htpasswd(), http });
    const ca = readFileSync(certificate, "utf8");
    const store = place.open("", { url: `https://${registry.host}/test`, ca, credentials: USER });
    await push(store);
    expect(await pull(store)).toBe(digest);
    await registry.stop();
    // This registry's Location headers name the address in its configuration, which has no TLS.
    const misled = await startRegistry({ auth: await htpasswd(), http: { ...http, host: `http://${registry.host}` }, again: registry });
    const error = { code: "UNAVAILABLE", message: expect.stringMatching(/without TLS/) as string };
    await expect(push(store, "another")).rejects.toMatchObject(error);
    await misled.close();
  });
});
