// Only settings of an allowlist reach npm from a project's .npmrc.
import { expect, test } from "vitest";
import { npmSettings } from "./npm-settings.ts";

const OPERATOR = "http://npm.internal:4873/";
const kept = (text: string) => npmSettings(text, OPERATOR).lines;

test.each([
  ["@acme:registry=https://npm.acme.example/private", "@acme:registry=https://npm.acme.example/private"],
  ['  @acme:registry = "https://npm.acme.example/" ', "@acme:registry=https://npm.acme.example/"],
  ["@acme:registry=http://npm.internal:4873/acme/", "@acme:registry=http://npm.internal:4873/acme/"],
  ["legacy-peer-deps=true", "legacy-peer-deps=true"],
  ["legacy-peer-deps", "legacy-peer-deps=true"],
  ["strict-peer-deps = false", "strict-peer-deps=false"],
  ["engine-strict=true", "engine-strict=true"],
])("%s goes on", (line, expected) => expect(kept(`; comment\n# too\r\n\n${line}\r\n`)).toEqual([expected]));

test.each([
  "git=/build/source/program",
  "allow-git=all",
  "allow-remote=all",
  "script-shell=/build/source/program",
  "shell=/build/source/program",
  "ignore-scripts=false",
  "dangerously-allow-all-scripts=true",
  "extension-file=x.mjs",
  "ignore-extension=false",
  "node-options=--require=/build/source/x.js",
  "prefix=/build/source/x",
  "cache=/build/source/x",
  "userconfig=/build/source/x",
  "globalconfig=/build/source/x",
  "cafile=/build/source/x",
  "ca[]=x",
  "strict-ssl=false",
  "registry=https://evil.example/",
  "proxy=http://evil.example/",
  "noproxy=*",
  "replace-registry-host=never",
  "install-strategy=linked",
  "install-links=true",
  "omit=",
  "legacy-peer-deps=${HTTPS_PROXY}",
  "@acme:registry=http://evil.example/",
  "@acme:registry=https://user:pass@evil.example/",
  "@acme:registry=https://${HTTPS_PROXY}/",
  "@acme:registry=file:///etc/",
  "@acme:registry=",
  "@acme:other=https://npm.acme.example/",
  "//npm.acme.example/:_authToken=secret",
])("%s does not, and its name is told without its value", (line) => {
  const { lines, dropped } = npmSettings(line, OPERATOR);
  expect(lines).toEqual([]);
  expect(dropped).toEqual([line.slice(0, line.indexOf("="))]);
});

test("what stands in a section is no setting, for npm neither", () => {
  expect(npmSettings("[x]\nlegacy-peer-deps=true\n", OPERATOR)).toEqual({ lines: [], dropped: [] });
});

test("without an operator's registry a scope's must be behind TLS", () => {
  expect(npmSettings("@acme:registry=http://registry.example/\n@b:registry=https://registry.example/", undefined).lines).toEqual([
    "@b:registry=https://registry.example/",
  ]);
});
