// Calls a service through the own gateway with Node's own fetch.
import { randomUUID } from "node:crypto";

const { GATEWAY, CLIENT, SERVICE } = process.env;
const id = randomUUID();
const answer = await fetch(`${GATEWAY}/r1/${SERVICE}/people/7`, {
  method: "POST",
  headers: { "X-Road-Client": CLIENT, "X-Road-Id": id, "Content-Type": "application/json" },
  body: JSON.stringify({ weeks: 42 }),
  signal: AbortSignal.timeout(90_000),
});
const body = await answer.text();
// A gateway's own error is told from a provider's answer by this header.
if (answer.headers.has("X-Road-Error")) {
  console.error(body);
  process.exit(1);
}
console.log(answer.status, id, body);
