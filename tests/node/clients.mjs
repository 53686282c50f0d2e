// The TypeScript SDKs, 2.x in both eras and 1.x, over stdio and HTTP.
// usage: node clients.mjs URL COMMAND...   (the HTTP endpoint; the stdio server)

import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as Stdio1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as Http1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, command, ...args] = process.argv.slice(2);
const me = { name: "clients.mjs", version: "1" };
const plan = { model: "Qwen/Qwen3-32B", gpu: "H100", concurrency: 4 };

// List tools, plan, make a mistake and read how to correct it.
async function talk(name, client, transport, check = () => {}) {
  await client.connect(transport);
  check(client);
  const { tools } = await client.listTools();
  assert(tools.some((tool) => tool.name === "plan_deployment"));
  const answer = await client.callTool({ name: "plan_deployment", arguments: plan });
  assert.equal(answer.structuredContent.feasibility.fits, true);
  const wrong = { ...plan, concurency: 4 };
  const mistake = await client.callTool({ name: "plan_deployment", arguments: wrong });
  assert.equal(mistake.isError, true);
  assert.match(mistake.content[0].text, /did you mean 'concurrency'/);
  await client.close();
  console.log(`ok ${name}`);
}

for (const [mode, revision] of [["legacy", "2025-11-25"], ["auto", "2026-07-28"]]) {
  for (const [where, transport] of [
    ["stdio", new StdioClientTransport({ command, args })],
    ["http", new StreamableHTTPClientTransport(new URL(url))],
  ]) {
    const client = new Client(me, { versionNegotiation: { mode } });
    await talk(`typescript client 2, ${where}, ${revision}`, client, transport, (spoken) =>
      assert.equal(spoken.getNegotiatedProtocolVersion(), revision),
    );
  }
}
await talk("typescript sdk 1, stdio", new Client1(me), new Stdio1({ command, args }));
await talk("typescript sdk 1, http", new Client1(me), new Http1(new URL(url)));
