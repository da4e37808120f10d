// Ownership of the platform, on real Postgres: there is one owner at a time, with epochs that only grow.
import { setTimeout as sleep } from "node:timers/promises";
import { createPool } from "../db/pools.ts";
import { createSystemDatabase, type SystemDatabase } from "../db/system-database.ts";
import { OWNERSHIP, becomeOwner } from "./owner.ts";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../../deploy/test/src/test-postgres.ts";

let postgres: TestPostgres;
let pool: pg.Pool;
let store: SystemDatabase;
const errors: unknown[] = [];
beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.migrate();
  pool = createPool(postgres.url("system"), () => undefined);
  store = createSystemDatabase(pool);
});
afterAll(async () => {
  await pool.end();
  await postgres.stop();
});
beforeEach(async () => {
  await pool.query("UPDATE fnctl.partition_owner SET holder = NULL, expires_at = NULL");
});

describe("the lease", () => {
  test("is one holder's until it runs out, and each owner's epoch is greater than the one before", async () => {
    const first = (await store.takeOwnership("a", 300))!;
    expect(await store.takeOwnership("b", 300)).toBeUndefined();
    await sleep(350);
    const second = (await store.takeOwnership("b", 300))!;
    expect(second).toBeGreaterThan(first);
    expect(await store.renewOwnership(first, 60_000)).toBe(false); // the renewal of the old epoch touches no row
    expect(await store.renewOwnership(second, 60_000)).toBe(true);
  });

  test("is taken again at once by its own holder, and by anybody once it is given back", async () => {
    const first = (await store.takeOwnership("a", 60_000))!;
    const second = (await store.takeOwnership("a", 60_000))!;
    expect(second).toBe(first + 1);
    await store.releaseOwnership(first); // the first owner can no longer release it
    expect(await store.takeOwnership("b", 60_000)).toBeUndefined();
    await store.releaseOwnership(second);
    expect(await store.takeOwnership("b", 60_000)).toBe(second + 1);
  });

  test("goes to one of twenty that ask at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => store.takeOwnership(`holder-${index}`, 60_000)));
    expect(answers.filter((epoch) => epoch !== undefined)).toHaveLength(1);
  });
});

test("what an owner found out is there for the next one, in the same place only, and an old owner's word does not replace a newer one's", async () => {
  const keep = (epoch: number, status: string) => store.keepCondition({ type: "Verified", place: "here", epoch, condition: { status } });
  expect(await store.condition("Verified", "here")).toBeUndefined();
  await keep(5, "True");
  expect(await store.condition("Verified", "here")).toEqual({ status: "True" });
  expect(await store.condition("Verified", "elsewhere")).toBeUndefined();
  await keep(5, "Again");
  await keep(4, "Old");
  expect(await store.condition("Verified", "here")).toEqual({ status: "Again" });
  await keep(6, "False");
  expect(await store.condition("Verified", "here")).toEqual({ status: "False" });
});

describe("an owner", () => {
  const events: string[] = [];
  const ask = (holder: string, hasRivals = true, over: Partial<SystemDatabase> = {}) =>
    becomeOwner({
      store: { ...store, ...over },
      holder,
      hasRivals,
      onWaiting: () => void events.push(`${holder} waits`),
      onLost: (reason) => void events.push(`${holder}: ${reason}`),
      onError: (error) => void errors.push(error),
    });
  beforeEach(() => void events.splice(0));

  test("keeps its place while it lives, and hands it over when it ends", async () => {
    const first = await ask("a");
    const waiting = ask("b");
    await sleep(OWNERSHIP.waitMs + 300);
    expect(events).toEqual(["b waits"]);
    await first.release();
    const second = await waiting;
    expect(second.epoch).toBe(first.epoch + 1);
    expect(events).toEqual(["b waits"]);
    await second.release();
  });

  test("is told that another has taken over", async () => {
    const first = await ask("a");
    await pool.query("UPDATE fnctl.partition_owner SET expires_at = now() - interval '1 second'"); // as after a long pause of the owner
    const second = await ask("b");
    await expect.poll(() => events, { timeout: OWNERSHIP.renewMs + 3_000 }).toEqual(["a: another control plane has taken over"]);
    expect(second.epoch).toBe(first.epoch + 1);
    await second.release();
  });

  test("that cannot reach the database loses its place to rivals it does not see, and keeps it where there are none", async () => {
    const away = { renewOwnership: () => Promise.reject(new Error("away")) };
    const [rivalled, alone] = [await ask("a", true, away), await ask("a", false, away)];
    await expect
      .poll(() => events, { timeout: OWNERSHIP.ttlMs + OWNERSHIP.renewMs + 3_000 })
      .toEqual(["a: the lease could not be renewed in time"]);
    await Promise.all([rivalled.release(), alone.release()]);
  });
});
