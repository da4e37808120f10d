export default {
  fetch(request) {
    const url = new URL(request.url);
    const count = Math.min(300, Number(url.searchParams.get("count") ?? 3));
    const interval = Math.max(10, Number(url.searchParams.get("interval") ?? 1000));
    const encoder = new TextEncoder();
    let timer;
    const stream = new ReadableStream({
      start(controller) {
        let sent = 0;
        const tick = () => {
          sent += 1;
          controller.enqueue(encoder.encode(`id: ${sent}\nevent: tick\ndata: ${JSON.stringify({ now: new Date().toISOString() })}\n\n`));
          if (sent >= count) {
            clearInterval(timer);
            controller.close();
          }
        };
        tick();
        if (sent < count) timer = setInterval(tick, interval);
        request.signal.addEventListener("abort", () => {
          clearInterval(timer);
          console.log("the client went away after", sent, "ticks");
        });
      },
      cancel() {
        clearInterval(timer);
      },
    });
    return new Response(stream, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
  },
};
