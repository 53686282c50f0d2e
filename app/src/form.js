// The form of the live page: its groups of controls, which of them matter, short cuts.

import { element } from "./element.js";
import { field } from "./fields.js";
import { kindOf, others, write } from "./question.js";

const LOAD = ["concurrency", "request_rate", "prompt_tokens", "gen_tokens"];
const MORE = [
  "max_model_len", "vllm_version", "quantization", "kv_cache_dtype", "gpu_memory_utilization",
  "interconnect", "nodes", "target_percentile", "target_ttft_ms", "target_tpot_ms",
  "target_latency_ms",
];
const PRICED = ["provider", "daily_load", "api_price"];
const OF_CARDS = ["optimise"];
const OF_MODELS = ["family", "task", "max_params_b"];

/** Fill `form`; `actions` stand below the controls, `take(changes)` changes the question. */
export function fillForm(form, actions, take) {
  form.append(
    field("model", chips([["Which fits?", "model", ""]], take)),
    field("gpu", chips([["This machine", "gpu", "auto"], ["Which one?", "gpu", ""]], take)),
    field("gpus"),
    element("div", { class: "chips", id: "others" }),
    ...[...OF_CARDS, ...OF_MODELS, ...LOAD].map((name) => field(name)),
    group("More", ...MORE.map((name) => field(name))),
    group(
      "Prices and cost",
      field("prices"),
      field("own_prices", priceFile(form)),
      ...PRICED.map((name) => field(name)),
    ),
    ...actions,
    element("datalist", { id: "models" }),
    element("datalist", { id: "gpus" }),
  );
}

/** Show the controls that the question takes, and which short cut it is. */
export function fitForm(form, question) {
  const kind = kindOf(question);
  const priced = form.elements.prices.value;
  show(form, OF_CARDS, kind === "compare");
  show(form, OF_MODELS, kind === "find-models");
  show(form, ["own_prices"], priced === "own");
  show(form, ["provider"], priced === "list");
  show(form, ["daily_load", "api_price"], priced !== "");
  for (const chip of form.querySelectorAll("[data-chip]")) {
    const { chip: name, value } = chip.dataset;
    const now = form.elements[name].value.trim().toLowerCase();
    chip.setAttribute("aria-pressed", String(now === value));
  }
}

/** Put a question into the form; `take` is called where an argument without control is left out. */
export function putInto(form, question, take) {
  write(form, question);
  const chips = others(question).map(([name, value]) => {
    const marks = { type: "button", class: "chip", title: "Leave it out" };
    const chip = element("button", marks, `${name} ${value} ×`);
    chip.addEventListener("click", () => take({ [name]: null }));
    return element("span", {}, element("input", { type: "hidden", name, value }), chip);
  });
  form.querySelector("#others").replaceChildren(...chips);
  openGroups(form);
}

/** Open the groups in which the question says something. */
function openGroups(form) {
  for (const part of form.querySelectorAll("details")) {
    const said = [...part.querySelectorAll("[name]")].some((control) => control.value);
    if (said) part.open = true;
  }
}

function show(form, names, shown) {
  for (const name of names) form.querySelector(`[data-field="${name}"]`).hidden = !shown;
}

function group(title, ...fields) {
  const inside = element("div", { class: "fields" }, ...fields);
  return element("details", {}, element("summary", {}, title), inside);
}

/** Short cuts of a field: [words, argument, value]. */
function chips(choices, take) {
  const buttons = choices.map(([words, name, value]) => {
    const marks = { type: "button", class: "chip", "data-chip": name, "data-value": value };
    const button = element("button", marks, words);
    button.addEventListener("click", () => take({ [name]: value }));
    return button;
  });
  return element("div", { class: "chips" }, ...buttons);
}

/** Prices from a file, put into the control for them. */
function priceFile(form) {
  const file = element("input", { type: "file", id: "price-file", accept: ".json" });
  file.addEventListener("change", async () => {
    form.elements.own_prices.value = await file.files[0].text();
    form.elements.own_prices.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const label = element("label", { for: "price-file" }, "or from a file");
  return element("div", {}, label, file);
}
