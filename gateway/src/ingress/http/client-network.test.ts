import { expect, test } from "vitest";
import { clientNetwork, clientSite, forwardedClient } from "./client-network.ts";

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
  ["2001:db8:1:3::6", "2001:db8:1:3::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["2001:db8::2:0:0:0:1", "2001:db8:0:2::/64"],
  ["::1", "0:0:0:0::/64"],
  ["1::", "1:0:0:0::/64"],
  ["64:ff9b::192.0.2.1", "64:ff9b:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["fe80::2%eth1", "fe80:0:0:0::/64"],
])("%s has the share of %s", (address, network) => {
  expect(clientNetwork(address)).toBe(network);
});

test("a network lies in a site, an IPv4 address in none", () => {
  expect(clientSite(clientNetwork("2001:db8:1:2:3:4:5:6"))).toBe("2001:db8:1::/48");
  expect(clientSite(clientNetwork("192.0.2.1"))).toBeUndefined();
});

test.each([
  [undefined, undefined],
  ["", undefined],
  ["192.0.2.1", "192.0.2.1"],
  ["203.0.113.9, 192.0.2.1", "192.0.2.1"], // the client says the first itself
  ["192.0.2.1, 10.0.0.1", "192.0.2.1"], // two proxies in a row
  ["2001:db8:1:2::6,10.0.0.1 , 10.0.0.2", "2001:db8:1:2::/64"],
  ["10.0.0.1", undefined],
  ["192.0.2.1, unknown", undefined],
  ["192.0.2.1, 192.0.2.2:80", undefined],
])("behind trusted proxies %j is %s", (forwardedFor, client) => {
  expect(forwardedClient(forwardedFor, (address) => address?.startsWith("10.") === true)).toBe(client);
});
