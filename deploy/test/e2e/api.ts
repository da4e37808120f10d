// An API client of the platform under test, with the token of its first tenant.
import { inject } from "vitest";
import { createApiClient, tokenIn } from "../src/api-client.ts";

const platform = inject("platform");
export const token = (): string => tokenIn(platform.config);
export const { api, deploy, deployArchive, call } = createApiClient({ url: platform.url, tenant: "acme", token });
export const stateDir = platform.stateDir;
