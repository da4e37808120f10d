// Turns an answer that is not a success into an error. The schema is loose: a newer platform may know more codes.
import { z } from "zod";
import { CliError } from "../errors/cli-error.ts";

const looseProblem = z.object({
  code: z.string().max(100),
  detail: z.string(),
  hint: z.string().optional(),
  requestId: z.string().optional(),
  facts: z.record(z.string(), z.unknown()).optional(),
});
const MOST_BYTES = 64 * 1024;
const BY_STATUS: Record<number, string> = {
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  413: "PAYLOAD_TOO_LARGE",
  429: "RATE_LIMITED",
  503: "UNAVAILABLE",
};

export function problemError(value: unknown): CliError | undefined {
  const parsed = looseProblem.safeParse(value);
  if (!parsed.success) return undefined;
  const { code, detail, hint, requestId, facts } = parsed.data;
  return new CliError(code, detail, { hint, requestId, facts });
}

export async function errorOf(response: Response): Promise<CliError> {
  const requestId = response.headers.get("x-request-id") ?? undefined;
  const text = (await response.text().catch(() => "")).slice(0, MOST_BYTES);
  const known = problemError(parseJson(text));
  if (known !== undefined) return known.with({ requestId: known.options.requestId ?? requestId });
  const code = BY_STATUS[response.status] ?? "BAD_ANSWER";
  return new CliError(code, `${response.url} answered ${response.status} ${response.statusText}, which is not an answer of this API.`, {
    requestId,
    hint: "Is it the address of a fnctl platform?",
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
