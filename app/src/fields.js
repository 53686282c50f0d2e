// The controls of a question: one for each argument, the same in the live page and in a host's.

import { element } from "./element.js";

// `list` names a datalist, `options` are [value, text] of a choice, `number` is sent as a number.
const FIELDS = {
  model: { label: "Model", list: "models", placeholder: "Qwen/Qwen3-32B, llama 3.1 8b, a folder" },
  gpu: { label: "GPU or instance", list: "gpus", placeholder: "H100, 2x RTX 3090, p5.48xlarge" },
  gpus: { label: "GPUs", number: true, placeholder: "as needed" },
  concurrency: { label: "Requests at once", number: true, placeholder: "1" },
  request_rate: { label: "or requests a second", number: true, placeholder: "not said" },
  prompt_tokens: { label: "Prompt tokens", number: true, placeholder: "512" },
  gen_tokens: { label: "Answer tokens", number: true, placeholder: "256" },
  max_model_len: { label: "Longest request", number: true, placeholder: "the model's own" },
  quantization: {
    label: "Precision",
    options: [
      ["", "the checkpoint's"],
      ["none", "not quantised"],
      ["fp8", "fp8"],
      ["awq", "awq"],
      ["gptq", "gptq"],
      ["nvfp4", "nvfp4"],
      ["mxfp4", "mxfp4"],
    ],
  },
  kv_cache_dtype: {
    label: "KV cache",
    options: [
      ["", "as the model says"],
      ["fp8", "fp8"],
      ["fp8_e5m2", "fp8_e5m2"],
      ["bfloat16", "bfloat16"],
      ["nvfp4", "nvfp4"],
    ],
  },
  vllm_version: { label: "vLLM release", placeholder: "the newest known" },
  gpu_memory_utilization: { label: "Memory share", number: true, placeholder: "vLLM's default" },
  interconnect: {
    label: "Link of the GPUs",
    options: [
      ["", "the GPU's usual"],
      ["nvlink", "NVLink"],
      ["pcie", "PCIe"],
    ],
  },
  nodes: { label: "Machines", number: true, placeholder: "1" },
  target_ttft_ms: { label: "First token within, ms", number: true, placeholder: "no target" },
  target_tpot_ms: { label: "Later tokens within, ms", number: true, placeholder: "no target" },
  target_latency_ms: { label: "Whole answer within, ms", number: true, placeholder: "no target" },
  target_percentile: {
    label: "Targets hold for",
    options: [
      ["", "the mean"],
      ["50", "50 % of requests"],
      ["95", "95 % of requests"],
      ["99", "99 % of requests"],
    ],
    number: true,
  },
  optimise: {
    label: "Best first",
    options: [
      ["", "fewest GPUs"],
      ["cheapest", "cheapest"],
      ["most_concurrency", "most at once"],
      ["longest_context", "longest request"],
      ["lowest_latency", "fastest answer"],
    ],
  },
  family: { label: "Words of the name", placeholder: "qwen3" },
  task: {
    label: "Models that",
    options: [
      ["", "generate text"],
      ["embed", "embed or score"],
      ["any", "do either"],
    ],
  },
  max_params_b: { label: "At most, billions", number: true, placeholder: "any size" },
  prices: {
    label: "Prices",
    options: [
      ["", "none"],
      ["list", "list prices of clouds, dated"],
      ["own", "my own"],
    ],
  },
  own_prices: {
    label: "My prices, as JSON",
    area: true,
    placeholder: '{"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4}}',
  },
  provider: { label: "Of these clouds alone", placeholder: "aws, gcp" },
  daily_load: { label: "Load of a day, requests a second", placeholder: "2, or 9h@4,15h@0.2" },
  api_price: { label: "An API's price a million tokens", placeholder: "0.6, or 0.15/0.6" },
};

/** Whether there is a control of that name. */
export function isField(name) {
  return Object.hasOwn(FIELDS, name);
}

/** Whether an argument is sent as a number. */
export function isNumber(name) {
  return FIELDS[name]?.number ?? false;
}

/** How a control is called in a sentence. */
export function spoken(name) {
  if (!isField(name)) return name;
  const label = FIELDS[name].label.replace(/^or /, "");
  return /^[A-Z][a-z]/.test(label) ? label[0].toLowerCase() + label.slice(1) : label;
}

/** The control of an argument with its label; further children stand below it. */
export function field(name, ...below) {
  const { label } = FIELDS[name];
  const id = `ask-${name}`;
  return element(
    "div",
    { class: "field", "data-field": name },
    element("label", { for: id }, label),
    control(name, id),
    ...below,
  );
}

function control(name, id) {
  const { list, options, number, area, placeholder } = FIELDS[name];
  if (options) {
    const choices = options.map(([value, text]) => element("option", { value }, text));
    return element("select", { id, name }, ...choices);
  }
  const plain = { id, name, placeholder: placeholder ?? "", spellcheck: "false" };
  if (area) return element("textarea", { ...plain, rows: "5" });
  const typed = { ...plain, autocomplete: "off", ...(number ? { inputmode: "decimal" } : {}) };
  return element("input", list ? { ...typed, list } : typed);
}
