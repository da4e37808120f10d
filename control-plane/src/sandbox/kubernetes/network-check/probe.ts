// Tries to reach things, from wherever it runs.

export interface ProbeTarget {
  protocol: "tcp" | "udp" | "icmp";
  host: string;
  /** 0 where there are none. */
  port: number;
}

/**
 * For each target `open`, `silent` after `timeoutMs`, or the error's code. UDP sends a DNS question, to which a name server answers; ICMP
 * an echo request (RFC 792) by a socket that needs no right, where there are such: in the images' Perl, as Node has none.
 * Its text is what runs inside a sandbox (`probe.toString()`), so it stands on nothing outside itself.
 */
export async function probe(targets: readonly ProbeTarget[], timeoutMs: number): Promise<string[]> {
  const [net, dgram, os, { execFile }] = await Promise.all([
    import("node:net"),
    import("node:dgram"),
    import("node:os"),
    import("node:child_process"),
  ]);
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
  const ECHO = String.raw`
    my ($seconds, $host, $socket, $ready, $bytes) = @ARGV;
    my $to = pack('S n C4 x8', 2, 0, split(/\./, $host));
    socket($socket, 2, 2, 1) && send($socket, pack('C C n n n a8', 8, 0, 0, 0, 1, 'isolated'), 0, $to) or print($! + 0) and exit;
    vec($ready, fileno($socket), 1) = 1;
    print(select($ready, undef, undef, $seconds) < 1 ? 'silent' : defined recv($socket, $bytes, 512, 0) ? 'open' : $! + 0);`;
  const codeOf = (number: number) => Object.entries(os.constants.errno).find(([, value]) => value === number)?.[0] ?? "error";
  const icmp = ({ host }: ProbeTarget) =>
    new Promise<string>((resolve) => {
      const args = ["-e", ECHO, String(timeoutMs / 1000), host];
      execFile("/usr/bin/perl", args, { timeout: timeoutMs * 2, maxBuffer: 1024 }, (_error, said) =>
        resolve(/^\d+$/.test(said) ? codeOf(Number(said)) : said === "open" || said === "silent" ? said : "error"),
      );
    });
  const ways = { tcp, udp, icmp };
  return Promise.all(targets.map((target) => ways[target.protocol](target)));
}
