import { mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { slugSchema } from "@fnctl/control-plane/contract/names";
import { CliError, usage } from "../errors/cli-error.ts";
import { schemaText } from "../project/json-schema.ts";
import { addCommand, createSession, type GlobalFlags, type Register, type Session } from "../session.ts";
import { templates, type TemplateName } from "../templates/templates.ts";

interface Flags extends GlobalFlags {
  template: string;
  name?: string;
}
/** The JSON Schema for editors; it is never deployed. */
const SCHEMA_FILE = ".fnctl/fnctl.schema.json";

export const init: Register = (program, io) => {
  addCommand(program, "init", "begin a function: fnctl.yaml and a handler")
    .argument("[dir]", "folder; made if it does not exist", ".")
    .option("-t, --template <template>", "ts, js or py", "ts")
    .option("--name <name>", "name of the function; absent: that of the folder")
    .action(async (dir: string, flags: Flags) => run(createSession(io, flags), dir, flags));
};

async function run(session: Session, dir: string, flags: Flags): Promise<void> {
  const template = templates[flags.template as TemplateName];
  if (!Object.hasOwn(templates, flags.template))
    throw usage(`There is no template ${flags.template}; there are ${Object.keys(templates).join(", ")}.`, "fnctl init --template ts");
  const folder = path.resolve(session.io.cwd, dir);
  const name = checkedName(flags.name ?? slugOf(path.basename(folder)));
  const files: Record<string, string> = { ...template(name, SCHEMA_FILE), [SCHEMA_FILE]: schemaText() };
  const present = await readdir(folder).catch(() => [] as string[]);
  const clash = Object.keys(files).find((file) => present.includes(file));
  if (clash !== undefined)
    throw new CliError("USAGE", `${path.join(dir, clash)} exists already; nothing was written.`, {
      next: clash === "fnctl.yaml" ? "fnctl deploy" : "fnctl init NEW-FOLDER",
    });
  if (flags.dryRun !== true) await writeAll(folder, files);
  for (const file of Object.keys(files)) session.note(`${flags.dryRun === true ? "would write" : "wrote"} ${path.join(dir, file)}`);
  session.note(`next: ${dir === "." ? "" : `cd ${dir} && `}fnctl deploy`);
  session.result({ name, folder, files: Object.keys(files) }, "");
}

/** The flag `wx` keeps a file that was created in the meantime from being overwritten. */
async function writeAll(folder: string, files: Record<string, string>): Promise<void> {
  for (const [file, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), content, { flag: file === SCHEMA_FILE ? "w" : "wx" });
  }
}

const slugOf = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "")
    .slice(0, 40)
    .replace(/-+$/, "") || "hello";

function checkedName(name: string): string {
  const parsed = slugSchema.safeParse(name);
  if (!parsed.success)
    throw usage(`${JSON.stringify(name)} is no name of a function: ${parsed.error.issues[0]?.message ?? ""}.`, "fnctl init --name hello");
  return name;
}
