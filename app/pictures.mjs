// Draws the pictures of the documentation: the live page, and the report of a plan.
// usage: node pictures.mjs ADDRESS REPORT (of `vllm-preflight ui`, and of `plan --report`)

import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

const [address, report] = process.argv.slice(2);
const docs = (name) => fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
const QUESTION = {
  model: "Qwen/Qwen3-32B", gpu: "H100", gpus: "2", concurrency: "64", prompt_tokens: "2000",
  gen_tokens: "500", prices: "list", daily_load: "9h@2,15h@0.2", api_price: "0.15/0.6",
};
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run"],
});
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1180, height: 1000 });
  await page.goto(`${address}/#${new URLSearchParams(QUESTION)}`);
  await page.waitForSelector("#cost-desc");
  await page.screenshot({ path: docs("page.png") });
  await page.setViewport({ width: 760, height: 900 });
  await page.goto(`file://${report}`);
  await page.screenshot({ path: docs("plan.png"), fullPage: true });
} finally {
  await browser.close();
}
