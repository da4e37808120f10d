// One request to a route of the API, and what is answered (`rules/api-routes.test.ts`).
export type Who = "admin" | "deploy" | "read" | "invoke" | "operator" | "stranger" | "nobody";
export interface Case {
  who: Who;
  /** The route's path with values filled in; `$name` stands for the fixture of that name in `known`. */
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  answer: number | readonly [number, string];
}

export const NOBODY = { who: "nobody", answer: [401, "UNAUTHENTICATED"] } as const;
export const UUID = "0190a000-0000-7000-8000-000000000000";
