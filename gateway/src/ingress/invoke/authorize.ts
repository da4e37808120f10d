// Decides which function a caller may call, by a rule that hides other tenants' names (SECURITY H6):
//   without a valid token, everything that is not a public function answers 401, whether it exists or not;
//   with a valid token, everything that is not the token's own tenant's answers 404, whether it exists or not.
// So an answer depends only on the caller's own rights and on public functions, which are visible anyway.
import { PlatformError } from "@fnctl/control-plane/contract/errors";
import type { Route, TokenRecord } from "@fnctl/control-plane/contract/internal";
import { allows } from "@fnctl/control-plane/contract/rights";

const unauthenticated = (): PlatformError =>
  new PlatformError("UNAUTHENTICATED", "Nothing public answers here, and the request carries no valid token.", {
    hint: "Send `Authorization: Bearer fnctl_...` with a token of the function's tenant, or deploy it with `access: public`.",
  });

export const noSuchFunction = (): PlatformError =>
  new PlatformError("NOT_FOUND", "The token's tenant has no such function.", { hint: "Check the address with `fnctl ls`." });

/** The error to answer with; undefined when the call is allowed. `route` is undefined when the function does not exist. */
export function refusal(route: Route | undefined, token: TokenRecord | undefined): PlatformError | undefined {
  if (route?.access === "public") return undefined;
  if (token === undefined) return unauthenticated();
  if (route === undefined || route.tenantId !== token.tenantId) return noSuchFunction();
  if (!allows(token.scopes, "invoke"))
    return new PlatformError("FORBIDDEN", "The token may not invoke functions.", {
      hint: "Create one with the scope `invoke`: fnctl tokens create --scope invoke",
    });
  return undefined;
}
