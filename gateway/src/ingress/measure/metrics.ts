// Plain numbers on the hot path; text is made only when metrics are scraped (a metrics library in this place cost other projects a quarter
// of their throughput).

export class Metrics {
  requests = 0;
  apiRequests = 0;
  inFlight = 0;
  connections = 0;
  refusedConnections = 0;
  /** Bodies that were refused and answers that were cut because too many bytes were held. */
  refusedHeld = 0;
  /** Refusals that waited, because their address had too many. */
  refusedLate = 0;
  /** Requests that wait for the answer before them on their connection. */
  pipelined = 0;
  coldStarts = 0;
  retries = 0;
  poisoned = 0;
  bytesIn = 0;
  bytesOut = 0;
  leaseRequests = 0;
  leaseFailures = 0;
  feedReconnects = 0;
  logDropped = 0;
  /** Index: status class 0-5. */
  readonly byClass = [0, 0, 0, 0, 0, 0];
  readonly byCode = new Map<string, number>();
  readonly latency = new Histogram();

  countCode(code: string): void {
    this.byCode.set(code, (this.byCode.get(code) ?? 0) + 1);
  }
}

const BOUNDS_MS = [0.5, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000];

class Histogram {
  private readonly counts = Array.from({ length: BOUNDS_MS.length + 1 }, () => 0);
  private sum = 0;
  observe(ms: number): void {
    let i = 0;
    while (i < BOUNDS_MS.length && ms > BOUNDS_MS[i]!) i += 1;
    this.counts[i]! += 1;
    this.sum += ms;
  }
  render(name: string): string {
    let total = 0;
    const lines = BOUNDS_MS.map((bound, i) => `${name}_bucket{le="${bound / 1000}"} ${(total += this.counts[i]!)}`);
    total += this.counts[BOUNDS_MS.length]!;
    return [
      `# TYPE ${name} histogram`,
      ...lines,
      `${name}_bucket{le="+Inf"} ${total}`,
      `${name}_sum ${this.sum / 1000}`,
      `${name}_count ${total}`,
    ].join("\n");
  }
}

export interface Gauges {
  routes: number;
  tokens: number;
  leases: number;
  waiting: number;
  heldBytes: number;
  feedConnected: boolean;
}

/** Prometheus text format 0.0.4. */
export function renderMetrics(metrics: Metrics, gauges: Gauges): string {
  const line = (name: string, type: "counter" | "gauge", value: number) =>
    `# TYPE fnctl_ingress_${name} ${type}\nfnctl_ingress_${name} ${value}`;
  return `${[
    line("requests_total", "counter", metrics.requests),
    line("api_requests_total", "counter", metrics.apiRequests),
    line("in_flight", "gauge", metrics.inFlight),
    line("connections", "gauge", metrics.connections),
    line("refused_connections_total", "counter", metrics.refusedConnections),
    line("refused_held_total", "counter", metrics.refusedHeld),
    line("refused_late_total", "counter", metrics.refusedLate),
    line("pipelined", "gauge", metrics.pipelined),
    line("cold_starts_total", "counter", metrics.coldStarts),
    line("retries_total", "counter", metrics.retries),
    line("poisoned_total", "counter", metrics.poisoned),
    line("request_bytes_total", "counter", metrics.bytesIn),
    line("response_bytes_total", "counter", metrics.bytesOut),
    line("lease_requests_total", "counter", metrics.leaseRequests),
    line("lease_failures_total", "counter", metrics.leaseFailures),
    line("feed_reconnects_total", "counter", metrics.feedReconnects),
    line("log_records_dropped_total", "counter", metrics.logDropped),
    line("routes", "gauge", gauges.routes),
    line("tokens", "gauge", gauges.tokens),
    line("leases", "gauge", gauges.leases),
    line("waiting", "gauge", gauges.waiting),
    line("held_bytes", "gauge", gauges.heldBytes),
    line("feed_connected", "gauge", gauges.feedConnected ? 1 : 0),
    "# TYPE fnctl_ingress_responses_total counter",
    ...metrics.byClass.map((count, i) => `fnctl_ingress_responses_total{class="${i}xx"} ${count}`).slice(1),
    "# TYPE fnctl_ingress_errors_total counter",
    ...[...metrics.byCode].map(([code, count]) => `fnctl_ingress_errors_total{code="${code}"} ${count}`),
    metrics.latency.render("fnctl_ingress_request_seconds"),
  ].join("\n")}\n`;
}
