// What a function in a pod may reach: the suites of one machine, in gVisor pods; and what is a cluster's alone.
import { afterAll, beforeAll, describe, inject } from "vitest";
import { callCases } from "../egress/call-cases.ts";
import { libraryCases } from "../egress/library-cases.ts";
import { reachCases } from "../egress/reach-cases.ts";
import { createPlace, type ClusterPlace } from "./place.ts";
import { NODES } from "./platform-host.ts";

let place: ClusterPlace;
beforeAll(async () => {
  place = await createPlace(inject("cluster"));
}, 300_000);
afterAll(() => (place as ClusterPlace | undefined)?.close()); // undefined if it did not start

describe("rules", () => reachCases(() => place));
describe("functions that call each other", () => callCases(() => place));
describe("client libraries", () => libraryCases(() => place, NODES));
