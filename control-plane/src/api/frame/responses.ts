// Parts of OpenAPI descriptions that all operations share.
import { z } from "zod";
import { PROBLEM_TYPE, problemSchema } from "../../contract/errors.ts";

const problem = (description: string) => ({ description, content: { [PROBLEM_TYPE]: { schema: problemSchema } } });
/** Errors that any authenticated operation may answer. */
export const PROBLEMS = {
  400: problem("The request is malformed"),
  401: problem("No valid token"),
  403: problem("The token does not allow this"),
  404: problem("No such resource"),
  429: problem("Too many requests at a time (RATE_LIMITED), or a quota is used up (QUOTA_EXCEEDED)"),
  503: problem("A part of the platform is not reachable"),
} as const;

export const json = <T extends z.ZodType>(schema: T, description: string) => ({ description, content: { "application/json": { schema } } });
export const body = <T extends z.ZodType>(schema: T) => ({ body: { required: true, content: { "application/json": { schema } } } });
/** Headers of an answer that is a stream of JSON lines. */
export const NDJSON = { "content-type": "application/x-ndjson" };
export const stream = (description: string) => ({ description, content: { "application/x-ndjson": { schema: z.string() } } });
