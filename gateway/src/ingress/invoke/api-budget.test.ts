import { expect, test } from "vitest";
import { ApiBudget } from "./api-budget.ts";

const LIMITS = { all: 6, perTenant: 2, strangers: 3, perStranger: 2 };
const budget = () => new ApiBudget({ call: LIMITS, upload: LIMITS, stream: LIMITS });
const tenant = (tenantId: string) => ({ tenantId, address: "192.0.2.1" });
const stranger = (address: string | undefined) => ({ tenantId: undefined, address });
const code = (enter: () => unknown) => {
  try {
    enter();
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test("a tenant, an address without a token, all of those, and all together: each up to its limit, with room again when one leaves", () => {
  const one = budget();
  const enter = (client: Parameters<ApiBudget["enter"]>[1]) => code(() => one.enter("call", client));
  const leave = one.enter("call", tenant("a"));
  expect([enter(tenant("a")), enter(tenant("a"))]).toEqual([undefined, "RATE_LIMITED"]);
  expect([enter(stranger("x")), enter(stranger("x")), enter(stranger("x"))]).toEqual([undefined, undefined, "RATE_LIMITED"]);
  expect([enter(stranger("y")), enter(stranger("y"))]).toEqual([undefined, "UNAVAILABLE"]);
  expect([enter(tenant("b")), enter(tenant("c"))]).toEqual([undefined, "UNAVAILABLE"]);
  leave();
  expect([enter(tenant("c")), enter(tenant("c"))]).toEqual([undefined, "UNAVAILABLE"]);
});

test("kinds do not count for each other, and a proxy's clients are no single address", () => {
  const one = budget();
  for (const kind of ["call", "upload", "stream"] as const)
    expect([0, 1, 2].map(() => code(() => one.enter(kind, stranger(undefined))))).toEqual([undefined, undefined, undefined]);
});
