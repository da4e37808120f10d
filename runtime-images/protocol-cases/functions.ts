// The functions that the cases call, written once for Node and once for Python.
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
  /** Paths that the functions above answer wrongly or not at all, and the text that the log must have for each. */
  failing: Record<"web" | "lambda" | "classic", Record<string, RegExp>>;
  /** Functions that must not load, and what the 422 answer must name. */
  broken: Record<string, CaseFunction & { message: RegExp; stack: RegExp }>;
  /** A function that prints "loading" and never finishes loading. */
  stuck: CaseFunction;
}
