// Tables of the live page: cards for a model, models for a card, two plans side by side.

import { commandBlock } from "./copy.js";
import { element } from "./element.js";
import { count, estimate, gib } from "./format.js";
import { isGood } from "./verdict.js";

function table(caption, heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const made = element(
    "table",
    {},
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
  // Wide tables scroll by themselves, by keyboard too.
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
}

function row(first, cells) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, first),
    ...cells.map((cell) => element("td", {}, cell ?? "")),
  );
}

function choice(text, take) {
  const button = element("button", { type: "button" }, text);
  button.addEventListener("click", take);
  return button;
}

const CARD_HEADS = ["GPUs", "Precision", "Requests at once", "Tokens/s"];

/** Which cards carry the workload; `take(changes)` plans with one. */
export function cards(answer, take) {
  const priced = answer.options.some((at) => at.cost_per_hour !== undefined);
  const rows = answer.options.map((at) =>
    row(choice(`${at.gpus} × ${at.gpu}`, () => take({ gpu: at.gpu, gpus: at.gpus })), [
      at.precision,
      count(at.requests_at_once ?? at.max_concurrency ?? 0),
      at.output_tokens_per_s === undefined ? "" : estimate(at.output_tokens_per_s),
      ...(priced ? [at.cost_per_hour === undefined ? "" : estimate(at.cost_per_hour)] : []),
    ]),
  );
  const lost = answer.excluded.map((at) => element("li", {}, `${at.gpu}: ${at.reason}`));
  return element(
    "section",
    {},
    element("h1", {}, `Which GPU for ${answer.model}?`),
    element("p", {}, answer.verdict.sentence),
    rows.length
      ? table("Cards", [...CARD_HEADS, ...(priced ? ["Cost per hour"] : [])], rows)
      : null,
    answer.serve_command ? commandBlock(answer.serve_command) : null,
    lost.length
      ? element("details", {}, element("summary", {}, "Why the others do not do"), element("ul", {}, ...lost))
      : null,
  );
}

/** Which models run on the card; `take(changes)` plans one. */
export function models(answer, take) {
  const rows = answer.models.map((at) =>
    row(choice(at.model, () => take({ model: at.model })), [
      at.weights,
      count(at.requests_at_once),
      count(at.max_model_len),
      at.output_tokens_per_s === undefined ? "" : estimate(at.output_tokens_per_s),
    ]),
  );
  return element(
    "section",
    {},
    element("h1", {}, `What runs on ${answer.gpus} × ${answer.gpu}?`),
    element("p", {}, `${count(answer.carried)} of ${count(answer.judged)} models hold ${answer.requests}.`),
    table("Models", ["Model", "Weights", "Requests at once", "Longest request", "Tokens/s"], rows),
  );
}

const COMPARED = [
  ["GPUs", (a) => `${a.hardware.gpus} × ${a.hardware.gpu}`],
  ["Verdict", (a) => `${isGood(a.verdict) ? "✓" : "✕"} ${a.verdict.sentence}`],
  ["KV cache per GPU", (a) => a.startup?.available_kv_cache_gib && gib(a.startup.available_kv_cache_gib)],
  ["KV tokens", (a) => a.startup?.kv_cache_tokens && count(a.startup.kv_cache_tokens)],
  ["Longest request", (a) => a.startup?.max_model_len && count(a.startup.max_model_len)],
  ["First token, ms", (a) => a.performance?.ttft_ms && estimate(a.performance.ttft_ms)],
  ["Later tokens, ms", (a) => a.performance?.tpot_ms && estimate(a.performance.tpot_ms)],
  ["Tokens/s of all", (a) => a.performance?.output_tokens_per_s && estimate(a.performance.output_tokens_per_s)],
];

/** Two plans side by side: the one that was kept and the one that is shown. */
export function sideBySide(kept, shown) {
  const rows = COMPARED.map(([name, value]) => row(name, [value(kept), value(shown)]));
  return element(
    "section",
    { id: "compared" },
    element("h2", {}, "A and B"),
    table("Two plans", ["Figure", `A: ${kept.model?.model ?? ""}`, `B: ${shown.model?.model ?? ""}`], rows),
  );
}
