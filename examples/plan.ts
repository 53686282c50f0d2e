// Ask the server from TypeScript: what to run, and what a command would do.
// Needs vllm-preflight on PATH, Node 24 and: npm install @modelcontextprotocol/client
// usage: node plan.ts

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

type Answer = Record<string, any>;

const client = new Client({ name: "plan.ts", version: "1" });
await client.connect(new StdioClientTransport({ command: "vllm-preflight", args: ["serve"] }));

/** A tool's structured answer; throws the server's sentence when there is none. */
async function ask(tool: string, question: Record<string, unknown>): Promise<Answer> {
  const result = await client.callTool({ name: tool, arguments: question });
  if (result.isError || !result.structuredContent) {
    throw new Error(result.content.map((block) => ("text" in block ? block.text : "")).join(" "));
  }
  return result.structuredContent as Answer;
}

const plan = await ask("plan_deployment", {
  model: "Qwen/Qwen3-32B",
  gpu: "H100",
  gpus: 2,
  concurrency: 64,
});
console.log(plan.verdict.sentence);
console.log(plan.artifacts.serve_command);

// "Does not start" is an answer; an error means that the question cannot be answered.
const start = await ask("predict_startup", {
  gpu: "RTX 4090",
  command: "vllm serve Qwen/Qwen3-32B-AWQ --max-model-len 32k",
});
console.log(start.verdict.sentence);
// Each change was simulated: made in the same call, it starts.
for (const { set } of start.remedies ?? []) console.log(`  starts with ${JSON.stringify(set)}`);

for (const gpu of ["L40S", "H1000"]) {
  try {
    const { startup } = await ask("plan_deployment", { model: "Qwen/Qwen3-8B", gpu });
    console.log(`${gpu}: ${startup.kv_cache_tokens.toLocaleString("en-US")} tokens of KV cache`);
  } catch (error) {
    console.log(`${gpu}: ${(error as Error).message}`);
  }
}
await client.close();
