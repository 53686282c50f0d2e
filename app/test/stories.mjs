// The live page as people use it, in Chromium: flows, axe, and how soon an answer is there.
// usage: node stories.mjs ADDRESS [FOLDER for pictures and saved files [STORY,…]]

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const [address, folder, only] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf-8");
const WIDTHS = [1280, 820, 390];
// Milliseconds of each kind of answer, and of a fixed piece of work after each.
const times = {};
const paces = [];
const saved = await mkdtemp(join(folder ?? tmpdir(), "saved-"));
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
  // A person has not typed before the names are there to choose from.
  await page.waitForSelector("#models option");
  return page;
}

/** Change fields as a person does, and wait for the answer to just that. */
async function enter(page, changes) {
  await page.evaluate((fields) => {
    const form = document.getElementById("question");
    for (const [name, value] of Object.entries(fields)) {
      form.elements[name].value = value;
      form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
    }
  }, changes);
  await answered(page);
}

/** Press what a selector finds, and wait for the answer. */
async function press(page, selector) {
  await page.click(selector);
  await answered(page);
}

/** The page is busy from a change on until its answer stands there. */
async function answered(page) {
  const done = "document.getElementById('answer').getAttribute('aria-busy') === 'false'";
  await page.waitForFunction(done, { timeout: 60_000 });
  // Answers that a story holds back say nothing about the page.
  if (await page.evaluate(() => window.heldBack)) return;
  const { ms, kind } = await page.$eval("#answer", ({ dataset }) => ({ ...dataset }));
  (times[kind] ??= []).push(Number(ms));
  paces.push(await page.evaluate(pace));
}

/** Milliseconds of what any interaction takes: some work, one request, a frame. */
async function pace() {
  const began = performance.now();
  const sums = new Map();
  for (let at = 0; at < 100_000; at += 1) sums.set(at % 100, (sums.get(at % 100) ?? 0) + at);
  await (await fetch("healthz")).text();
  await new Promise((drawn) => requestAnimationFrame(drawn));
  return performance.now() - began;
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
  for (const theme of ["dark", "light"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    if (folder && theme === "dark")
      await page.screenshot({ path: `${folder}/${name}-dark.png`, fullPage: true });
    const found = await page.evaluate(() => window.axe.run(document));
    const broken = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`);
    assert.deepEqual(broken, [], `${name} in ${theme}`);
  }
}

/** Save what is shown by the button of a kind; the path of the file. */
async function save(page, kind) {
  const before = new Set(await readdir(saved));
  await page.click(`[data-save="${kind}"]`);
  for (let tries = 0; tries < 200; tries += 1) {
    const made = (await readdir(saved)).filter((name) => !before.has(name));
    if (made.length && !made[0].endsWith(".crdownload")) {
      assert.match(await text(page, "#status"), /^Saved /);
      return `${saved}/${made[0]}`;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return assert.fail(`${kind} is not saved: ${await text(page, "#status")}`);
}

const stories = {
  async hobbyist() {
    const page = await open();
    assert.match(await text(page), /Name a model, a GPU, or both/);
    await look(page, "welcome");
    await enter(page, { gpu: "RTX 3090" });
    assert.match(await text(page), /What runs on 1 × (GeForce )?RTX 3090/);
    await enter(page, { family: "qwen3" });
    assert.match(await text(page, "#answer tbody"), /Qwen3/);
    await look(page, "hobbyist");
    await press(page, "#answer tbody button");
    assert.match(await text(page), /Carries the workload|Starts/);
    await press(page, '[data-chip="gpu"][data-value="auto"]');
    assert.match(await text(page), /no GPU was detected|Carries|Start|Refused/);
    await press(page, '[data-chip="gpu"][data-value=""]');
    assert.match(await text(page), /Which GPU for/);
  },
  async platformTeam() {
    const page = await open();
    await enter(page, { model: "Qwen/Qwen3-32B", gpu: "H100", gpus: "2" });
    for (const concurrency of ["8", "16", "32", "64", "128"]) await enter(page, { concurrency });
    await enter(page, { prompt_tokens: "8000", gen_tokens: "1k" });
    assert.match(await text(page), /vllm serve Qwen\/Qwen3-32B/);
    await enter(page, { target_ttft_ms: "500", target_percentile: "95" });
    assert.match(await text(page), /The target of/);
    await look(page, "platform");
    await enter(page, { model: "meta-llama/Llama-3.3-70B-Instruct", gpus: "1", prompt_tokens: "", gen_tokens: "" });
    assert.match(await text(page), /Does not start|Refused/);
    await press(page, "#answer li button:not(.copy)");
    await look(page, "remedy");
  },
  async finops() {
    const page = await open();
    await enter(page, { model: "Qwen/Qwen3-8B", concurrency: "16" });
    assert.match(await text(page), /Which GPU for/);
    await enter(page, { prices: "list", daily_load: "9h@2,15h@0.2", api_price: "0.15/0.6" });
    const told = await text(page);
    for (const words of [/an hour: .*days old/, /a month/, /The API at 0.15\/0.6/, /Cost per month/])
      assert.match(told, words);
    const described = await page.$eval("#cost-desc", (node) => node.textContent);
    for (const words of [/This workload:/, /The daily load:/, /The API costs as much/])
      assert.match(described, words);
    assert.ok(await page.$(".line-limit text"), "the API's price is drawn");
    await page.$eval("#question details:last-of-type", (part) => (part.open = true));
    await look(page, "finops");
    const own = '{"currency": "EUR", "date": "2026-11-01", "gpu_hour": {"L40S": 1.1}}';
    await enter(page, { optimise: "cheapest", prices: "own", own_prices: own });
    assert.match(await text(page), /1\.10 EUR an hour/);
    await press(page, "#answer tbody button");
    assert.match(await text(page), /vllm serve Qwen\/Qwen3-8B/);
    assert.match(await text(page), /1\.10 EUR an hour/);
    await look(page, "priced");
    // A coarser checkpoint of the table is the plan's, too.
    await enter(page, { model: "meta-llama/Llama-3.3-70B-Instruct", gpu: "H200, H100", gpus: "1", prices: "", optimise: "" });
    await page.$$eval("#answer tbody button", (all) =>
      all.find((button) => button.textContent.includes("H200")).click(),
    );
    await answered(page);
    assert.match(await text(page), /--quantization fp8/);
  },
  async upgrade() {
    const page = await open();
    await enter(page, { model: "Qwen/Qwen3-32B", gpu: "H100", gpus: "1", vllm_version: "0.18.0" });
    await page.click("#keep");
    await enter(page, { vllm_version: "0.33.0" });
    assert.match(await text(page, "#compared"), /A and B/);
    await look(page, "upgrade");
    await page.click("#compared h2 button");
    assert.equal(await page.$("#compared"), null);
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
    const before = await text(page, "#answer");
    const other = await open(address.hash);
    await answered(other);
    assert.equal(await text(other, "#answer"), before);
    await other.evaluate(() => document.querySelector(".skip").click());
    assert.equal(await other.$eval("#ask-model", (field) => field.value), "Qwen/Qwen3-8B");
    const rare = await open("#model=Qwen/Qwen3-8B&gpu=L40S&gpus=2&data_parallel_size=2");
    await answered(rare);
    assert.match(await text(rare), /--data-parallel-size 2/);
    await look(rare, "rare");
    await press(rare, "#others button");
    assert.doesNotMatch(rare.url(), /data_parallel_size/);
    await other.bringToFront();
    await enter(other, { gpu: "H1000" });
    assert.match(await text(other), /No GPU called/);
    await look(other, "refused");
    await enter(other, { gpu: "L4, L40S", request_rate: "2" });
    assert.match(await text(other), /Which GPU for/);
    assert.match(await text(other), /Not part of this table: requests a second/);
    await enter(other, { gpu: "L4" });
    assert.doesNotMatch(await text(other), /No GPU called|Not part/);
  },
  /** Every file that can be saved, looked into; what cannot be saved is said. */
  async downloads() {
    const page = await open("#model=Qwen/Qwen3-8B&gpu=L40S&concurrency=4");
    await answered(page);
    const client = await page.createCDPSession();
    await client.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: saved });
    const picture = await readFile(await save(page, "picture"));
    assert.equal(picture.subarray(1, 4).toString(), "PNG");
    assert.ok(picture.readUInt32BE(16) > 1600 && picture.readUInt32BE(20) > 1200, "large enough");
    const answer = JSON.parse(await readFile(await save(page, "json"), "utf-8"));
    assert.equal(answer.model.model, "Qwen/Qwen3-8B");
    await save(page, "files");
    await save(page, "profile");
    const report = await save(page, "report");
    const offline = await browser.newPage();
    await offline.setOfflineMode(true);
    await offline.setJavaScriptEnabled(false);
    await offline.goto(`file://${report}`);
    const shown = await text(offline);
    assert.match(shown, /Carries the workload/);
    assert.match(shown, /Asked on .* model Qwen\/Qwen3-8B/);
    assert.equal(await offline.$("script, button, form"), null);
    if (folder) await offline.screenshot({ path: `${folder}/report.png`, fullPage: true });
    await page.bringToFront();
    await enter(page, { gpu: "" });
    await page.click('[data-save="files"]');
    await page.waitForFunction(() => document.getElementById("status").textContent);
    assert.match(await text(page, "#status"), /Files and profiles are of a plan/);
  },
  /** A server with a token says so, and answers once it has it. */
  async token() {
    const page = await open("#model=Qwen/Qwen3-8B&gpu=L4");
    await answered(page);
    await page.evaluate(() => {
      const fetched = window.fetch;
      window.fetch = (path, options = {}) => {
        if (options.headers?.Authorization === "Bearer secret" || path === "healthz")
          return fetched(path, options);
        const detail = "This server wants its token.";
        return Promise.resolve(new Response(JSON.stringify({ detail }), { status: 401 }));
      };
    });
    await enter(page, { concurrency: "3" });
    assert.match(await text(page), /This server wants its token/);
    await look(page, "token");
    await page.type("#secret", "secret");
    await press(page, "#token button");
    assert.match(await text(page), /holds all 3 requests/);
    assert.equal(await page.$eval("#token", (form) => form.hidden), true);
  },
  /** Questions that follow one another sooner than an answer's body arrives, and a lost body. */
  async hasty() {
    const page = await open("#model=Qwen/Qwen3-8B&gpu=L4");
    await answered(page);
    await page.evaluate(() => {
      const fetched = window.fetch;
      window.heldBack = true;
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

/** The value below which a share of them lies. */
function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

try {
  for (const [name, story] of Object.entries(stories)) {
    if (only && !only.split(",").includes(name)) continue;
    await story();
    console.log(`ok ${name}`);
  }
  const all = Object.values(times).flat();
  for (const [kind, found] of [...Object.entries(times), ["all", all], ["pace", paces]]) {
    const [half, most] = [0.5, 0.95].map((share) => Math.round(quantile(found, share)));
    console.log(`${kind}: ${found.length} times, p50 ${half} ms, p95 ${most} ms`);
  }
} finally {
  await browser.close();
}
