// The live page as six people use it, in Chromium: flows, axe, and how soon an answer is there.
// usage: node stories.mjs ADDRESS [FOLDER for pictures]

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import puppeteer from "puppeteer-core";

const [address, folder] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf-8");
const WIDTHS = [1280, 820, 390];
const times = [];
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run"],
});

async function open(hash = "") {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  page.on("pageerror", (error) => assert.fail(`script error: ${error.message}`));
  page.on("console", (message) => {
    // A refused question is an answer, though the browser logs its status.
    if (message.type() === "error" && !message.text().includes("Failed to load resource"))
      assert.fail(message.text());
  });
  await page.goto(`${address}/${hash}`);
  return page;
}

/** Change a field as a person does, and wait for the answer to just that. */
async function enter(page, changes) {
  const expected = await page.evaluate(async (fields) => {
    const form = document.getElementById("question");
    for (const [name, value] of Object.entries(fields)) {
      form.elements[name].value = value;
      form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
    }
    return Object.keys(fields).length;
  }, changes);
  assert.ok(expected);
  await answered(page);
}

async function answered(page) {
  await page.waitForFunction(
    () => {
      const answer = document.getElementById("answer");
      const form = new FormData(document.getElementById("question"));
      const asked = JSON.parse(answer.dataset.asked ?? "null");
      const said = Object.fromEntries([...form].filter(([, value]) => value.trim()));
      return (
        asked && answer.getAttribute("aria-busy") === "false" &&
        Object.keys(said).every((name) => name in asked) &&
        Object.entries(asked).every(([name, value]) => !(name in said) || typeof value === "number" || said[name].trim() === value) &&
        Object.keys(asked).every((name) => name in said)
      );
    },
    { timeout: 20_000 },
  );
  const took = await page.evaluate(() => Number(document.getElementById("answer").dataset.ms));
  if (took) times.push(took);
}

const text = (page, selector = "main") => page.$eval(selector, (node) => node.innerText);

async function look(page, name) {
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: 900 });
    await new Promise((done) => setTimeout(done, 150));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth + 1);
    assert.equal(wide, false, `${name} scrolls sideways at ${width}`);
    if (folder) await page.screenshot({ path: `${folder}/${name}-${width}.png`, fullPage: true });
  }
  await page.setViewport({ width: 1280, height: 900 });
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document));
  const broken = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`);
  assert.deepEqual(broken, [], name);
}

const stories = {
  async hobbyist() {
    const page = await open();
    await enter(page, { gpu: "RTX 3090" });
    assert.match(await text(page), /What runs on 1 × (GeForce )?RTX 3090/);
    await look(page, "hobbyist");
    await page.click("#answer tbody button");
    await answered(page);
    assert.match(await text(page), /Carries the workload|Starts/);
  },
  async platformTeam() {
    const page = await open();
    await enter(page, { model: "Qwen/Qwen3-32B", gpu: "H100", gpus: "2" });
    for (const concurrency of ["8", "16", "32", "64", "128"]) await enter(page, { concurrency });
    await enter(page, { prompt_tokens: "8000", gen_tokens: "1k" });
    assert.match(await text(page), /vllm serve Qwen\/Qwen3-32B/);
    await look(page, "platform");
    await enter(page, { model: "meta-llama/Llama-3.3-70B-Instruct", gpus: "1", prompt_tokens: "", gen_tokens: "" });
    assert.match(await text(page), /Does not start|Refused/);
    const tries = await page.$$("#answer li button");
    assert.ok(tries.length, "a remedy can be tried");
    await tries.find(Boolean).click();
    await answered(page);
    await look(page, "remedy");
  },
  async finops() {
    const page = await open();
    await enter(page, { model: "Qwen/Qwen3-8B", concurrency: "16" });
    assert.match(await text(page), /Which GPU for/);
    await look(page, "finops");
    await page.click("#answer tbody button");
    await answered(page);
    assert.match(await text(page), /vllm serve Qwen\/Qwen3-8B/);
  },
  async upgrade() {
    const page = await open();
    await enter(page, { model: "Qwen/Qwen3-32B", gpu: "H100", gpus: "1", vllm_version: "0.18.0" });
    await page.click("#keep");
    await enter(page, { vllm_version: "0.33.0" });
    assert.match(await text(page, "#compared"), /A and B/);
    await look(page, "upgrade");
  },
  async sideBySide() {
    const page = await open();
    await enter(page, { model: "openai/gpt-oss-120b", gpu: "H100", gpus: "1" });
    await page.click("#keep");
    await enter(page, { gpu: "H200" });
    const compared = await text(page, "#compared");
    assert.match(compared, /H100/);
    assert.match(compared, /H200/);
  },
  async permalink() {
    const page = await open();
    await enter(page, { model: "Qwen/Qwen3-8B", gpu: "L40S", concurrency: "4", kv_cache_dtype: "fp8" });
    const address = new URL(page.url());
    const before = await text(page);
    const other = await open(address.hash);
    await answered(other);
    assert.equal(await text(other), before);
    await enter(other, { gpu: "H1000" });
    assert.match(await text(other), /No GPU called/);
    await look(other, "refused");
    await enter(other, { gpu: "L4" });
    assert.doesNotMatch(await text(other), /No GPU called/);
  },
  /** Questions that follow one another sooner than an answer's body arrives, and a lost body. */
  async hasty() {
    const page = await open("#model=Qwen/Qwen3-8B&gpu=L4");
    await answered(page);
    await page.evaluate(() => {
      const fetched = window.fetch;
      window.fetch = async (path, options = {}) => {
        const answer = await fetched(path, { ...options, signal: undefined });
        const bytes = new Uint8Array(await answer.arrayBuffer());
        window.bodies = (window.bodies ?? 0) + 1;
        const body = new ReadableStream({
          start(stream) {
            const left = () => stream.error(new DOMException("left", "AbortError"));
            options.signal?.addEventListener("abort", left);
            if (window.cut) return stream.error(new TypeError("connection lost"));
            setTimeout(() => {
              if (options.signal?.aborted) return;
              stream.enqueue(bytes);
              stream.close();
            }, 400);
          },
        });
        return new Response(body, { status: answer.status });
      };
    });
    const type = (gpu) =>
      page.evaluate((value) => {
        const field = document.getElementById("question").elements.gpu;
        field.value = value;
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }, gpu);
    await type("H100");
    await page.waitForFunction(() => window.bodies === 1);
    await enter(page, { gpu: "H200" });
    assert.match(await text(page), /1 × H200/);
    await page.evaluate(() => (window.cut = true));
    await enter(page, { gpu: "L40S" });
    assert.match(await text(page), /The server does not answer/);
  },
};

try {
  for (const [name, story] of Object.entries(stories)) {
    await story();
    console.log(`ok ${name}`);
  }
  times.sort((a, b) => a - b);
  const p95 = times[Math.floor(times.length * 0.95)];
  console.log(`${times.length} answers, median ${times[Math.floor(times.length / 2)]} ms, p95 ${p95} ms`);
} finally {
  await browser.close();
}
