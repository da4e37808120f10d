// The files that `fnctl init` writes. Each template is complete and can be deployed unchanged.
type Files = Record<string, string>;
type Template = (name: string, schemaFile: string) => Files;

const projectFile = (name: string, runtime: string, schemaFile: string) => `# yaml-language-server: $schema=${schemaFile}
name: ${name}
runtime: ${runtime}

# private: callers need a token of your tenant. public: everybody may call it.
access: private

# memory: 256MB
# timeout: 30s
# max: 10
# env:
#   GREETING: Hello
# What it may reach; nothing if this is absent.
# egress:
#   allow:
#     - api.example.com
#     - { function: other }
`;

/** Shown in every template, because circles of functions are ended only where functions pass the chain on. */
const CALL = "To call another function of yours: allow it in fnctl.yaml, and pass on which calls led here.";
const PASSED_ON = "The functions that called each other, so that the platform can end a circle of them, and the trace.";
const NODE_CALL = `// ${CALL}
    // return fetch("http://other.fn.internal/", { headers: passedOn(request) });`;

const packageFile = (name: string) => `${JSON.stringify({ name, private: true, type: "module" }, null, 2)}\n`;

const TYPESCRIPT = `interface Greeting {
  message: string;
  method: string;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const name = url.searchParams.get("name") ?? "world";
    const greeting: Greeting = { message: \`Hello, \${name}!\`, method: request.method };
    console.log("greeting", name);
    ${NODE_CALL}
    return Response.json(greeting);
  },
};

/** ${PASSED_ON} */
export function passedOn({ headers }: Request): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => name === "x-fnctl-chain" || name === "traceparent"));
}
`;
const TSCONFIG = `${JSON.stringify({ compilerOptions: { target: "es2024", module: "nodenext", lib: ["es2024", "dom", "dom.iterable"], strict: true, noEmit: true, skipLibCheck: true } }, null, 2)}\n`;

const JAVASCRIPT = `export default {
  async fetch(request) {
    const url = new URL(request.url);
    const name = url.searchParams.get("name") ?? "world";
    console.log("greeting", name);
    ${NODE_CALL}
    return Response.json({ message: \`Hello, \${name}!\`, method: request.method });
  },
};

/** ${PASSED_ON} */
export function passedOn({ headers }) {
  return Object.fromEntries([...headers].filter(([name]) => name === "x-fnctl-chain" || name === "traceparent"));
}
`;

const PYTHON = `import json


def handler(event, context):
    name = (event.get("queryStringParameters") or {}).get("name", "world")
    print("greeting", name)
    # ${CALL}
    # from urllib.request import Request, urlopen
    # answer = urlopen(Request("http://other.fn.internal/", headers=passed_on(event)), timeout=10).read().decode()
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"message": f"Hello, {name}!", "method": event["requestContext"]["http"]["method"]}),
    }


def passed_on(event):
    """${PASSED_ON}"""
    return {name: event["headers"][name] for name in ("x-fnctl-chain", "traceparent") if name in event["headers"]}
`;

export const templates = {
  ts: (name, schemaFile) => ({
    "fnctl.yaml": projectFile(name, "node24", schemaFile),
    "index.ts": TYPESCRIPT,
    "package.json": packageFile(name),
    "tsconfig.json": TSCONFIG,
    ".gitignore": "node_modules/\n.env\n",
  }),
  js: (name, schemaFile) => ({
    "fnctl.yaml": projectFile(name, "node24", schemaFile),
    "index.js": JAVASCRIPT,
    "package.json": packageFile(name),
    ".gitignore": "node_modules/\n.env\n",
  }),
  py: (name, schemaFile) => ({
    "fnctl.yaml": projectFile(name, "python3.13", schemaFile),
    "main.py": PYTHON,
    ".gitignore": "__pycache__/\n.venv/\n.env\n",
  }),
} as const satisfies Record<string, Template>;
export type TemplateName = keyof typeof templates;
