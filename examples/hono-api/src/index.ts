import { Hono } from "hono";

interface Note {
  id: number;
  text: string;
}
const notes: Note[] = [{ id: 1, text: "Notes live as long as this instance does." }];

const app = new Hono();
app.get("/", (c) => c.json({ service: "notes", endpoints: ["GET /notes", "POST /notes", "GET /notes/:id"] }));
app.get("/notes", (c) => c.json(notes));
app.get("/notes/:id", (c) => {
  const note = notes.find((candidate) => candidate.id === Number(c.req.param("id")));
  return note === undefined ? c.json({ error: "no such note" }, 404) : c.json(note);
});
app.post("/notes", async (c) => {
  const { text } = await c.req.json<{ text?: string }>();
  if (typeof text !== "string" || text === "") return c.json({ error: "text is missing" }, 400);
  const note = { id: notes.length + 1, text };
  notes.push(note);
  console.log("note added", note.id);
  return c.json(note, 201);
});

export default app;
