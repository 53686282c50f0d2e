// The question that a form holds: its values, the link that holds it, and who answers it.

import { isField, isNumber } from "./fields.js";

// What only says something beside prices, and beside the built-in ones.
const PRICED = ["provider", "daily_load", "api_price"];
const OF_LIST = ["provider"];
const [LIST, OWN] = ["list", "own"];

/** What the form says, empty fields left out. */
export function read(form) {
  const question = {};
  for (const [name, text] of new FormData(form)) {
    const value = text.trim();
    if (value) question[name] = isNumber(name) ? number(value) : said(name, value);
  }
  return withPrices(question);
}

/** The question with the user's own prices in place of the word for them. */
function withPrices({ own_prices: own, ...question }) {
  if (question.prices === OWN) question.prices = own;
  if (!question.prices) return without(question, ["prices", ...PRICED]);
  return question.prices === LIST ? question : without(question, OF_LIST);
}

function without(question, names) {
  return Object.fromEntries(Object.entries(question).filter(([name]) => !names.includes(name)));
}

/** A number as people write it: 32k, 4,096, 0.5; text that is none is left to the server. */
function number(text) {
  const found = /^([\d.,]+)\s*([kKmM]?)$/.exec(text);
  if (!found) return text;
  const scale = { "": 1, k: 1000, K: 1024, m: 1e6, M: 2 ** 20 }[found[2]];
  const value = Number(found[1].replaceAll(",", "")) * scale;
  return Number.isFinite(value) ? value : text;
}

/** The value of an argument that has no control, which holds it as text. */
function said(name, text) {
  if (isField(name)) return text;
  if (text === "true" || text === "false") return text === "true";
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/** Put a question into the form; fields it does not name become empty. */
export function write(form, question) {
  const own = question.prices && question.prices !== LIST;
  const values = own ? { ...question, prices: OWN, own_prices: question.prices } : question;
  for (const field of form.elements) {
    if (field.name) field.value = values[field.name] ?? "";
  }
}

/** What a question says beside the controls: [name, value] each. */
export function others(question) {
  return Object.entries(question).filter(([name]) => !isField(name));
}

/** The whole question in the address, after its #. */
export function toLink(question) {
  return `#${new URLSearchParams(question)}`;
}

/** The question of an address, empty where it holds none; null where its # means another thing. */
export function fromLink(hash) {
  const text = hash.replace(/^#/, "");
  const found = [...new URLSearchParams(text)].filter(([, value]) => value);
  return found.length || !text ? Object.fromEntries(found) : null;
}

/** A question with a remedy's changes; null takes a field away. */
export function changed(question, changes) {
  const entries = Object.entries({ ...question, ...changes });
  return Object.fromEntries(entries.filter(([, value]) => value !== null && value !== ""));
}

// Rows of a table that a page has room for.
const ROWS = 40;
const WORKLOAD = ["concurrency", "prompt_tokens", "gen_tokens", "max_model_len", "vllm_version"];
const TAKEN = {
  compare: [
    "model", "gpu", "gpus", ...WORKLOAD, "quantization", "kv_cache_dtype", "target_latency_ms",
    "optimise", "prices", ...PRICED,
  ],
  "find-models": [
    "gpu", "gpus", ...WORKLOAD, "request_rate", "interconnect", "nodes", "target_ttft_ms",
    "target_tpot_ms", "target_latency_ms", "target_percentile", "family", "task", "max_params_b",
  ],
};
// What tables are asked with, and a plan is not.
const OF_TABLES = ["optimise", "family", "task", "max_params_b"];

/** Which question it is: plan, compare (the GPU is open), find-models (the model is); or none. */
export function kindOf({ model, gpu }) {
  if (model && gpu && !gpu.includes(",")) return "plan";
  if (model) return "compare";
  return gpu ? "find-models" : null;
}

/**
 * The question as the server takes it: path, body, and the names of what it leaves out; null
 * when there is none.
 */
export function request(question) {
  const kind = kindOf(question);
  if (kind === null) return null;
  if (kind === "plan") return { path: kind, body: without(question, OF_TABLES), left: [] };
  const left = Object.keys(question).filter((name) => !TAKEN[kind].includes(name));
  const { gpu, gpus, ...body } = without(question, left);
  const named = kind === "compare" ? { gpus: gpu, max_gpus: gpus } : { gpu, gpus };
  return { path: kind, body: { ...body, ...named, limit: ROWS }, left: left.filter(isMissed) };
}

/** Whether leaving it out changes the answer; the other table's own choices do not. */
function isMissed(name) {
  return !OF_TABLES.includes(name);
}
