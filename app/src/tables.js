// Tables of the live page: cards for a model, models for a card, two plans side by side.

import { commandBlock } from "./copy.js";
import { element } from "./element.js";
import { cost } from "./figures.js";
import { count, estimate, gib, money } from "./format.js";
import { behind, lines, wideTable } from "./parts.js";
import { costSection } from "./sections.js";
import { isGood } from "./verdict.js";

function choice(text, take) {
  const button = element("button", { type: "button", class: "choice" }, text);
  button.addEventListener("click", take);
  return button;
}

// Columns of the cards: what the head says, the field, how it is written. A column that no
// option fills is left out.
const CARD_COLUMNS = [
  ["Precision", "precision", String],
  ["Requests at once", "requests_at_once", count],
  ["Longest request", "max_model_len", count],
  ["Tokens/s", "output_tokens_per_s", count],
  ["Seconds per request", "latency_ms", (value) => estimate(Number((value / 1000).toPrecision(3)))],
  ["Cost per hour", "cost_per_hour", money],
  ["Per million tokens", "cost_per_million_tokens", money],
  ["… at the daily load", "cost_per_million_tokens_at_load", money],
  ["Cost per month", "cost_per_month", money],
];

/** Which cards carry the workload; `take(changes)` plans with one. The sections, and drawings. */
export function cards(answer, take) {
  const { options, excluded } = answer;
  const columns = CARD_COLUMNS.filter(([, field]) => options.some((at) => at[field] !== undefined));
  const rows = options.map((at) => [
    choice(`${at.gpus} × ${at.gpu}`, () => take(planned(at))),
    ...columns.map(([, field, written]) => (at[field] === undefined ? "" : written(at[field]))),
  ]);
  const drawings = [];
  const money = answer.currency ? `, ${answer.currency}` : "";
  const priced = (head, field) => (field.startsWith("cost") ? `${head}${money}` : head);
  const heads = ["GPUs", ...columns.map(([head, field]) => priced(head, field))];
  const lost = excluded.map((at) => `${at.gpu}: ${at.reason}`);
  const quotes = options.filter((at) => at.price).map((at) => `${at.gpus} × ${at.gpu}: ${at.price}`);
  const notes = [...(answer.has_more ?? []), ...(answer.warnings ?? [])];
  const parts = [
    element(
      "section",
      {},
      element("h1", {}, `Which GPU for ${answer.model}?`),
      element("p", {}, `${answer.verdict.sentence.replace(/\.$/, "")}.`),
      rows.length ? wideTable("Cards", heads, rows) : null,
    ),
    costSection(cost(answer), drawings),
    answer.serve_command && command(answer.serve_command),
    notes.length && element("section", {}, element("h2", {}, "Look out for"), list(notes)),
    quotes.length && behind("Whose prices", list(quotes)),
    lost.length && behind("Why the others do not do", list(lost)),
  ];
  return { parts: parts.filter(Boolean), drawings };
}

/** The option as a plan is asked for it; a precision that was said stays. */
function planned({ checkpoint: model, gpu, gpus, quantization }) {
  return { model, gpu, gpus, ...(quantization ? { quantization } : {}) };
}

function command(text) {
  return element("section", {}, element("h2", {}, "Command of the first"), commandBlock(text));
}

function list(sentences) {
  return element("ul", {}, ...lines(sentences));
}

const MODEL_HEADS = ["Model", "Weights", "Requests at once", "Longest request", "Tokens/s"];

/** Which models run on the card; `take(changes)` plans one. */
export function models(answer, take) {
  const rows = answer.models.map((at) => [
    choice(at.model, () => take({ model: at.model })),
    at.weights,
    count(at.requests_at_once),
    count(at.max_model_len),
    at.output_tokens_per_s === undefined ? "" : count(at.output_tokens_per_s),
  ]);
  const warnings = answer.warnings ?? [];
  const judged = `${count(answer.carried)} of ${count(answer.judged)} models carry it: ${answer.requests}`;
  const shown = rows.length < answer.carried ? `; the largest ${rows.length} are here` : "";
  return {
    parts: [
      element(
        "section",
        {},
        element("h1", {}, `What runs on ${answer.gpus} × ${answer.gpu}?`),
        element("p", {}, `${judged}${shown}.`),
        rows.length ? wideTable("Models", MODEL_HEADS, rows) : null,
        warnings.length ? list(warnings) : null,
      ),
    ],
    drawings: [],
  };
}

const COMPARED = [
  ["GPUs", (a) => `${a.hardware.gpus} × ${a.hardware.gpu}`],
  ["Verdict", (a) => `${isGood(a.verdict) ? "✓" : "✕"} ${a.verdict.sentence}`],
  ["vLLM", (a) => a.startup?.vllm_version],
  ["KV cache per GPU", (a) => a.startup?.available_kv_cache_gib, gib],
  ["KV tokens", (a) => a.startup?.kv_cache_tokens, count],
  ["Longest request", (a) => a.startup?.max_model_len, count],
  ["First token, ms", (a) => a.performance?.ttft_ms, estimate],
  ["Later tokens, ms", (a) => a.performance?.tpot_ms, estimate],
  ["Tokens/s of all", (a) => a.performance?.output_tokens_per_s, estimate],
  ["Cost per hour", (a) => a.cost?.per_hour, money],
  ["Cost per million tokens", (a) => a.cost?.per_million_tokens, money],
  ["Cost per month", (a) => a.cost?.per_month, money],
];

/** Two plans side by side: the one that was kept and the one that is shown. */
export function sideBySide(kept, shown, forget) {
  const cell = (value, written = String) => (value === undefined ? "–" : written(value));
  const rows = COMPARED.map(([name, of, written]) => [name, of(kept), of(shown), written])
    .filter(([, one, other]) => one !== undefined || other !== undefined)
    .map(([name, one, other, written]) => [
      name,
      cell(one, written),
      cell(other, written),
      movedBy(one, other),
    ]);
  const heads = ["Figure", `A: ${named(kept)}`, `B: ${named(shown)}`, "Change"];
  const button = element("button", { type: "button" }, "Forget A");
  button.addEventListener("click", forget);
  return element(
    "section",
    { id: "compared" },
    element("h2", {}, "A and B ", button),
    wideTable("Two plans", heads, rows),
  );
}

/** By how much the second of two figures differs; empty where it does not, or cannot be said. */
function movedBy(one, other) {
  if (typeof one !== "number" || typeof other !== "number" || !one || one === other) return "";
  const share = (other / one - 1) * 100;
  return `${share > 0 ? "+" : "−"}${estimate(Number(Math.abs(share).toPrecision(2)))}\u00a0%`;
}

function named({ model, hardware }) {
  return `${model?.model ?? ""} on ${hardware.gpus} × ${hardware.gpu}`;
}
