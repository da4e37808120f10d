// A server whose connections wait until it is told to accept: what connects to it meanwhile hangs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";

/** Node accepts by itself, so this is Perl. Prints its port; begins to accept at a line of its input. */
const PROGRAM = `use Socket; socket(S, AF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(0, INADDR_LOOPBACK)); listen(S, 0);
my ($port) = sockaddr_in(getsockname S); $| = 1; print "$port\\n"; <STDIN>; while (accept(my $c, S)) { push @kept, $c; syswrite $c, "inside" }`;

export async function openFullServer(): Promise<{ port: number; accept(): void; close(): void }> {
  const child = spawn("/usr/bin/perl", ["-e", PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  const port = Number(line);
  // As many as its queue takes, and one that shows that it takes no more.
  const fillers = Array.from({ length: 3 }, () => connect(port, "127.0.0.1").on("error", () => undefined));
  await new Promise((resolve) => setTimeout(resolve, 100));
  return {
    port,
    accept: () => void child.stdin.write("\n"),
    close() {
      for (const filler of fillers) filler.destroy();
      child.kill("SIGKILL");
    },
  };
}
