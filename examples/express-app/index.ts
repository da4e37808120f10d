import express from "express";

const app = express();
app.use(express.json({ limit: "1mb" }));

app.get("/", (_request, response) => {
  response.send("<h1>Hello from Express</h1>");
});
app.get("/greet/:name", (request, response) => {
  response.json({ greeting: `Hello, ${request.params.name}`, query: request.query });
});
app.post("/sum", (request, response) => {
  const numbers: unknown = request.body?.numbers;
  if (!Array.isArray(numbers)) return void response.status(400).json({ error: "numbers is missing" });
  response.json({ sum: numbers.reduce((total: number, value: number) => total + value, 0) });
});

export default app;
