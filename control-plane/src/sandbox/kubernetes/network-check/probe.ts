// Code that tries to reach network targets from the place where it runs.

export interface ProbeTarget {
  protocol: "tcp" | "udp" | "icmp";
  host: string;
  /** 0 for ICMP, which has no ports. */
  port: number;
}

/**
 * Resolves, for each target, with `open`, with `silent` after `timeoutMs`, or with the error's code. For UDP it sends a DNS question, which
 * a name server answers. For ICMP it sends an echo request (RFC 792) on a socket that needs no privilege, where the kernel has such
 * sockets; this uses the images' Perl, because Node has no ICMP. The text of this function runs inside a sandbox (`probe.toString()`), so
 * it must not use anything outside itself.
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
    my ($seconds, @hosts) = @ARGV;
    my (@sockets, @seen);
    for my $i (0 .. $#hosts) {
      my $to = pack('S n C4 x8', 2, 0, split(/\./, $hosts[$i]));
      socket($sockets[$i], 2, 2, 1) && send($sockets[$i], pack('C C n n n a8', 8, 0, 0, 0, 1, 'isolated'), 0, $to) or $seen[$i] = $! + 0;
    }
    for (1 .. $seconds * 20) {
      my ($waiting, $bytes) = ('');
      for (0 .. $#hosts) { vec($waiting, fileno($sockets[$_]), 1) = 1 if !defined $seen[$_] }
      last if $waiting eq '';
      next if select($waiting, undef, undef, 0.05) < 1;
      for (0 .. $#hosts) {
        next if defined $seen[$_] || !vec($waiting, fileno($sockets[$_]), 1);
        $seen[$_] = defined recv($sockets[$_], $bytes, 512, 0) ? 'open' : $! + 0;
      }
    }
    print(join(' ', map { defined $seen[$_] ? $seen[$_] : 'silent' } 0 .. $#hosts));`;
  const codeOf = (number: number) => Object.entries(os.constants.errno).find(([, value]) => value === number)?.[0] ?? "error";
  // One process pings all hosts: a hundred forks in a row would block this process, and answers that came in time would count as late.
  const ping = (hosts: readonly string[]) =>
    new Promise<string[]>((resolve) => {
      const args = ["-e", ECHO, String(timeoutMs / 1000), ...hosts];
      execFile("/usr/bin/perl", args, { timeout: timeoutMs * 3, maxBuffer: 64 * 1024 }, (_error, said) => {
        const seen = said.split(" ");
        resolve(hosts.map((_host, index) => (/^\d+$/.test(seen[index] ?? "") ? codeOf(Number(seen[index])) : seen[index] || "error")));
      });
    });
  const byPort = { tcp, udp, icmp: () => Promise.resolve("error") };
  const seen = await Promise.all(targets.map((target) => byPort[target.protocol](target)));
  const pinged = targets.filter(({ protocol }) => protocol === "icmp");
  const replies = pinged.length === 0 ? [] : await ping(pinged.map(({ host }) => host));
  return targets.map((target, index) => (target.protocol === "icmp" ? (replies[pinged.indexOf(target)] ?? "error") : seen[index]!));
}
