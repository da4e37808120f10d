// The same functions, once for Node and once for Python: what the cases call.
export interface CaseFunction {
  file: string;
  source: string;
}
export interface FunctionSet {
  /** Web style: Node `{fetch}`, Python ASGI. */
  web: CaseFunction;
  /** Lambda style. */
  lambda: CaseFunction;
  /** The older style of the language: Node listener, Python WSGI. */
  classic: CaseFunction;
  /** Requests that the functions above answer wrongly or not at all, and what the log must say of each. */
  failing: Record<"web" | "lambda" | "classic", Record<string, RegExp>>;
  /** What must not load, and what its 422 must name. */
  broken: Record<string, CaseFunction & { message: RegExp; stack: RegExp }>;
  /** Says "loading" and is never loaded. */
  stuck: CaseFunction;
}
