// What may be reached, as each kind of token may say and see it (`rules/api-routes.test.ts`).
import { NOBODY, UUID, type Case } from "./route-case.ts";

export const EGRESS_ROUTES: Record<string, Case[]> = {
  "GET /v1/tenants/{id}/egress-ceiling": [
    { ...NOBODY, path: "/v1/tenants/$tenant/egress-ceiling" },
    { who: "admin", path: "/v1/tenants/$tenant/egress-ceiling", answer: [403, "FORBIDDEN"] },
    { who: "operator", path: `/v1/tenants/${UUID}/egress-ceiling`, answer: [404, "NOT_FOUND"] },
    { who: "operator", path: "/v1/tenants/$tenant/egress-ceiling", answer: 200 },
  ],
  "PUT /v1/tenants/{id}/egress-ceiling": [
    { ...NOBODY, path: "/v1/tenants/$tenant/egress-ceiling", body: { private: [] } },
    { who: "admin", path: "/v1/tenants/$tenant/egress-ceiling", body: { private: [] }, answer: [403, "FORBIDDEN"] },
    { who: "operator", path: `/v1/tenants/${UUID}/egress-ceiling`, body: { private: [] }, answer: [404, "NOT_FOUND"] },
    ...[
      { addresses: "10.0.0.0/33", ports: [1] },
      { addresses: "a.example", ports: [1] },
      { addresses: "10.0.0.1", ports: [] },
    ].map((range) => ({
      who: "operator" as const,
      path: "/v1/tenants/$tenant/egress-ceiling",
      body: { private: [range] },
      answer: [400, "BAD_REQUEST"] as const,
    })),
    {
      who: "operator",
      path: "/v1/tenants/$tenant/egress-ceiling",
      body: { private: [{ addresses: "10.0.0.0/8", ports: [5432] }] },
      answer: 200,
    },
  ],
  "GET /v1/egress/rules": [
    { ...NOBODY, path: "/v1/egress/rules" },
    { who: "invoke", path: "/v1/egress/rules", answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/egress/rules", answer: [403, "FORBIDDEN"] },
    { who: "read", path: "/v1/egress/rules", answer: 200 },
  ],
  "GET /v1/egress/log": [
    { ...NOBODY, path: "/v1/egress/log" },
    { who: "invoke", path: "/v1/egress/log", answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/egress/log", answer: [403, "FORBIDDEN"] },
    { who: "read", path: "/v1/egress/log?limit=0", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/egress/log?cursor=aGVsbG8", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/egress/log?refused=true&function=hello", answer: 200 },
  ],
  "GET /v1/egress/usage": [
    { ...NOBODY, path: "/v1/egress/usage" },
    { who: "invoke", path: "/v1/egress/usage", answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/egress/usage", answer: [403, "FORBIDDEN"] },
    { who: "read", path: "/v1/egress/usage?days=0", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/egress/usage?days=36", answer: [400, "BAD_REQUEST"] },
    { who: "read", path: "/v1/egress/usage?days=35&function=hello", answer: 200 },
  ],
  "POST /v1/egress/rules": [
    { ...NOBODY, path: "/v1/egress/rules", body: { action: "allow", rule: "a.example" } },
    { who: "deploy", path: "/v1/egress/rules", body: { action: "allow", rule: "a.example" }, answer: [403, "FORBIDDEN"] },
    { who: "operator", path: "/v1/egress/rules", body: { action: "allow", rule: "a.example" }, answer: [403, "FORBIDDEN"] },
    { who: "admin", path: "/v1/egress/rules", body: { action: "allow", rule: "https://a.example" }, answer: [400, "BAD_REQUEST"] },
    { who: "admin", path: "/v1/egress/rules", body: { action: "allow", rule: "*" }, answer: [400, "BAD_REQUEST"] },
    { who: "admin", path: "/v1/egress/rules", body: { action: "refuse", rule: "a.example" }, answer: [400, "BAD_REQUEST"] },
    {
      who: "stranger",
      path: "/v1/egress/rules",
      body: { action: "allow", rule: "a.example", function: "hello" },
      answer: [404, "NOT_FOUND"],
    },
    { who: "admin", path: "/v1/egress/rules", body: { action: "allow", rule: "a.example", function: "hello" }, answer: 201 },
    { who: "admin", path: "/v1/egress/rules", body: { action: "deny", rule: "*" }, answer: 201 },
  ],
  "DELETE /v1/egress/rules/{id}": [
    { ...NOBODY, path: "/v1/egress/rules/$rule" },
    { who: "deploy", path: "/v1/egress/rules/$rule", answer: [403, "FORBIDDEN"] },
    { who: "stranger", path: "/v1/egress/rules/$rule", answer: [404, "NOT_FOUND"] },
    { who: "admin", path: "/v1/egress/rules/first", answer: [400, "BAD_REQUEST"] },
    { who: "admin", path: "/v1/egress/rules/$rule", answer: 204 },
    { who: "admin", path: "/v1/egress/rules/$rule", answer: [404, "NOT_FOUND"] },
  ],
};
