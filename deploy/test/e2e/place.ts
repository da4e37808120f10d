// The platform under test as the egress suites take it.
import { inject } from "vitest";
import type { Place } from "../egress/place.ts";
import { api, call, deploy } from "./api.ts";
import { fnctl } from "./cli.ts";
import { createTenant, operatorToken } from "./tenants.ts";

export const place: Place = { api, call, deploy, fnctl, operatorToken, newTenant: createTenant, outside: inject("outside") };
