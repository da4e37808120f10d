// Who may import whom. ARCHITECTURE.md says it in words.
const CONTRACT = "^control-plane/src/contract/";
/** What every process of ours is made of, beside the contract. */
const SERVICE = "^control-plane/src/service/";
/** From the top down: a room imports rooms that stand below it here, types counted. So there is no ring between rooms. */
const ABOVE = [
  "wiring",
  "api",
  "platform",
  "builds",
  "logs",
  "changes",
  "instances",
  "egress",
  "sandbox",
  "images",
  "sources",
  "functions",
];
const ORDER = Object.entries({
  "control-plane/src": ABOVE.concat(["accounts", "sandbox-client", "cluster", "db", "service", "contract"]),
  "gateway/src/ingress": ["invoke", "observe", "fleet", "replica", "http", "call", "measure"],
  "gateway/src": ["ingress", "egress", "replica"],
});
const TESTS = ["\\.test\\.ts$", "/testing/", "conformance[^/]*\\.ts$"];
const forbid = (name, from, to, comment) => ({ name, severity: "error", comment, from, to });
const upward = ORDER.flatMap(([folder, rooms]) =>
  rooms
    .slice(1)
    .map((room, at) =>
      forbid(
        `upward-from-${folder.replace(/\/src|-plane/g, "").replace("/", "-")}-${room}`,
        { path: `^${folder}/${room}/`, pathNot: TESTS },
        { path: `^${folder}/(${rooms.slice(0, at + 1).join("|")})/` },
        `A room imports rooms below it: ${rooms.join(" > ")}.`,
      ),
    ),
);
const unknown = ORDER.map(([folder, rooms]) =>
  forbid(
    "unknown-room",
    { path: `^${folder}/[^/]+/`, pathNot: [`^${folder}/(${[...rooms, "testing"].join("|")})/`] },
    {},
    `A new room needs its place in the order of ${folder}.`,
  ),
);
module.exports = {
  forbidden: [
    ...upward,
    ...unknown,
    forbid(
      "contract-imports-nothing",
      { path: CONTRACT, pathNot: "\\.test\\.ts$" },
      { path: "^(gateway|control-plane|cli|deploy|migrations|runtime-images)/", pathNot: CONTRACT },
      "The contract stands alone.",
    ),
    forbid(
      "ingress-and-egress-apart",
      { path: "^gateway/src/ingress" },
      { path: "^gateway/src/egress" },
      "Two processes; they share no code.",
    ),
    forbid(
      "gateway-only-contract",
      { path: "^gateway/" },
      { path: "^(control-plane|cli|deploy|migrations|runtime-images)/", pathNot: [CONTRACT, SERVICE] },
      "The gateway knows the contract, and what every process is made of.",
    ),
    forbid(
      "service-stands-below",
      { path: SERVICE, pathNot: "\\.test\\.ts$" },
      { path: "^(gateway|control-plane|cli|deploy|migrations|runtime-images)/", pathNot: [CONTRACT, SERVICE] },
      "What every process is made of knows the contract only.",
    ),
    forbid(
      "cli-only-contract",
      { path: "^cli/" },
      { path: "^(control-plane|gateway|deploy|migrations|runtime-images)/", pathNot: CONTRACT },
      "The CLI knows the contract only.",
    ),
    forbid(
      "sandbox-only-contract",
      { path: "^runtime-images/" },
      { path: "^(control-plane|gateway|cli|deploy|migrations)/", pathNot: CONTRACT },
      "What runs in a sandbox knows the contract only.",
    ),
    forbid("nobody-imports-deploy", { pathNot: ["^deploy/", "\\.test\\.ts$"] }, { path: "^deploy/" }, "Composition roots are at the top."),
    forbid(
      "tests-import-test-platforms",
      { path: "\\.test\\.ts$", pathNot: "^deploy/" },
      { path: "^deploy/", pathNot: "^deploy/test/src/" },
      "A room's test may stand on a real Postgres or a whole platform, and on nothing else of deploy.",
    ),
    forbid(
      "control-plane-stands-alone",
      { path: "^control-plane/", pathNot: "\\.test\\.ts$" },
      { path: "^(gateway|cli|deploy|migrations|runtime-images)/" },
      "Others import the control plane, not the other way round.",
    ),
    forbid(
      "system-role-by-hand",
      { path: "^control-plane/src", pathNot: ["^control-plane/src/(wiring|db)/", "\\.test\\.ts$"] },
      { path: "^control-plane/src/db/system-database", dependencyTypesNot: ["type-only"] },
      "The system role is handed out by the composition root (SECURITY F10).",
    ),
    forbid(
      "driver-reads-nothing",
      { path: "^control-plane/src/(sandbox|sandbox-client)/" },
      { path: "^control-plane/src/(db|service/settings)/" },
      "A driver reads no environment and no database.",
    ),
    forbid("no-cycles", {}, { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } }, "No cycles."),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)dist/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    parser: "swc",
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node"], extensions: [".ts", ".js"] },
  },
};
