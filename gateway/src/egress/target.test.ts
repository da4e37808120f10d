import { describe, expect, it } from "vitest";
import { readTarget } from "./target.ts";

describe("CONNECT targets (B5)", () => {
  it.each([
    ["example.com:443", "example.com", 443],
    ["EXAMPLE.com:8443", "example.com", 8443],
    ["xn--bcher-kva.example:443", "xn--bcher-kva.example", 443],
    ["_dmarc.a-b.example:1", "_dmarc.a-b.example", 1],
    ["localhost:80", "localhost", 80],
  ])("reads %s", (authority, host, port) => {
    expect(readTarget(authority)).toEqual({ host, port });
  });
  it.each([
    "[::ffff:169.254.169.254]:80",
    "[::1]:80",
    "2852039166:80",
    "0x7f.1:80",
    "0x7f000001:80",
    "0177.0.0.1:80",
    "127.1:80",
    "127.0.0.1:80",
    "1.2.3.4:443",
    "a.0x1:80",
    "example.com.1:80",
    "localhost.:80",
    "example.com.:443",
    "a@b:443",
    "user:pw@example.com:443",
    "example.com",
    "example.com:",
    "example.com:0",
    "example.com:65536",
    "example.com:0443",
    "example.com:443x",
    "example.com:443:443",
    "http://example.com:443",
    "example.com:443/",
    "/example.com:443",
    "ex ample.com:443",
    "bücher.example:443",
    "example.com%00.evil:443",
    "example..com:443",
    ".example.com:443",
    "-a.example:443",
    "a-.example:443",
    `${"a".repeat(64)}.example:443`,
    `${"a.".repeat(130)}example:443`,
    "",
    ":443",
    "*.example.com:443",
    "example.com%2e:443",
    "１２７.0.0.1:80",
  ])("refuses %s", (authority) => expect(() => readTarget(authority)).toThrow());
});
