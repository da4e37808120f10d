// Tries to reach things, from wherever it runs.

export interface ProbeTarget {
  protocol: "tcp" | "udp";
  host: string;
  port: number;
}

/**
 * For each target `open`, `silent` after `timeoutMs`, or the error's code. UDP sends a DNS question, to which a name server answers.
 * Its text is what runs inside a sandbox (`probe.toString()`), so it stands on nothing outside itself.
 */
export async function probe(targets: readonly ProbeTarget[], timeoutMs: number): Promise<string[]> {
  const [net, dgram] = await Promise.all([import("node:net"), import("node:dgram")]);
  const tcp = ({ host, port }: ProbeTarget) =>
    new Promise<string>((resolve) => {
      const socket = net.connect({ host, port });
      const end = (result: string) => {
        socket.destroy();
        resolve(result);
      };
      setTimeout(() => end("silent"), timeoutMs);
      socket.once("connect", () => end("open"));
      socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? "error"));
    });
  const udp = ({ host, port }: ProbeTarget) =>
    new Promise<string>((resolve) => {
      const socket = dgram.createSocket(host.includes(":") ? "udp6" : "udp4");
      let ended = false;
      const end = (result: string) => {
        if (ended) return;
        ended = true;
        socket.close();
        resolve(result);
      };
      setTimeout(() => end("silent"), timeoutMs);
      socket.once("message", () => end("open"));
      socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? "error"));
      // One question for the root's name servers (RFC 1035 section 4).
      const question = Buffer.from("0001010000010000000000000000020001", "hex");
      socket.send(question, port, host, (error) => {
        if (error !== null) end((error as NodeJS.ErrnoException).code ?? "error");
      });
    });
  return Promise.all(targets.map((target) => (target.protocol === "udp" ? udp(target) : tcp(target))));
}
