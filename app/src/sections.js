// Sections of an answer that draw: one GPU's memory, what fits, the speed, the cost.

import { describeCapacity, drawCapacity, markText } from "./capacity.js";
import { costMarks, costTitle, describeCost, drawCost } from "./cost.js";
import { element } from "./element.js";
import { count, estimate, gib, money, percent, rate, requests } from "./format.js";
import { describeMemory, drawMemory, span } from "./memory.js";
import { behind, dot, lines, picture, table } from "./parts.js";
import { askedText, describeSpeed, drawSpeed } from "./speed.js";

/** One GPU's memory; null where none is known. */
export function memorySection(figures, drawings) {
  if (!figures) return null;
  const { parts, visible, between, short, missing } = figures;
  const named = (key, label) => [
    element("span", { class: `swatch back-${key}`, "aria-hidden": "true" }),
    label,
  ];
  const rows = parts.map((part) => [
    named(part.key, part.label),
    gib(part.gib),
    percent(part.gib / visible),
  ]);
  if (short !== null) rows.push([named("none", "KV cache"), `${gib(short)} short`, "none"]);
  const notes = [
    between && `80 % of KV caches have ${span(between)}.`,
    missing !== null && `To start, one GPU lacks ${gib(missing)}.`,
  ].filter(Boolean);
  const title = "Memory of one GPU";
  const draw = (svg, width) => drawMemory(svg, figures, width);
  return element(
    "section",
    {},
    element("h2", {}, title),
    picture("memory", title, describeMemory(figures), draw, drawings),
    ...notes.map((text) => element("p", { class: "note" }, text)),
    table(title, ["Part", "Memory", "Share of the GPU"], rows),
  );
}

/** Where requests stop fitting, or that nothing limits them; null where nothing is known. */
export function capacitySection(figures, answer, drawings) {
  const title = "Requests that fit at each length";
  if (!figures) {
    const { startup } = answer;
    const stopped = !startup?.starts && startup?.kv_cache_tokens === undefined;
    if (startup?.weights_gib === undefined || stopped) return null;
    const none = startup.kv_cache_tokens === 0;
    const text = none
      ? "There is no memory for a KV cache, so not one request fits."
      : "This model caches nothing per token; the KV cache sets no limit.";
    return element("section", {}, element("h2", {}, title), element("p", {}, text));
  }
  const draw = (svg, width) => drawCapacity(svg, figures, width);
  const rows = figures.points.map((at) => [count(at.tokens), requests(at.requests)]);
  return element(
    "section",
    {},
    element("h2", {}, title),
    element("p", {}, ...sentence(figures)),
    picture("capacity", title, describeCapacity(figures), draw, drawings),
    behind("Figures as a table", table(title, ["Tokens per request", "Requests at once"], rows)),
  );
}

/** How fast it serves; null without an estimate. */
export function speedSection(figures, drawings) {
  if (!figures) return null;
  const { asked: now, points } = figures;
  const title = "Estimated speed";
  // Means; less than one that waits is none.
  const wait =
    now.concurrency - now.running >= 1
      ? `${estimate(now.running)} run at once, the others wait. `
      : "";
  return element(
    "section",
    {},
    element("h2", {}, title),
    element("p", {}, wait, element("span", { class: "key" }, dot("asked"), askedText(figures))),
    ...(points.length ? curve(figures, drawings) : []),
    estimates(title, figures.figures),
  );
}

/** How many texts it answers; null for a model that generates. */
export function textsSection(figures) {
  if (!figures) return null;
  const title = "Estimated speed";
  const flight = `${estimate(figures.flight)} texts of ${count(figures.tokens)} tokens in flight.`;
  return element(
    "section",
    {},
    element("h2", {}, title),
    element("p", {}, flight),
    estimates(title, figures.figures),
  );
}

function estimates(title, figures) {
  const rows = figures.map(({ label, unit, value, low, high }) => [
    label,
    `${estimate(value)} ${unit}`,
    `${estimate(low)} to ${estimate(high)}`,
  ]);
  return table(title, ["For this workload", "Estimate", "80 % of cases"], rows);
}

/** The speed with other numbers of requests in flight, drawn and as a table. */
function curve(figures, drawings) {
  const title = "Speed over requests in flight";
  const draw = (svg, width) => drawSpeed(svg, figures, width);
  const rows = figures.points.map((at) => [
    estimate(at.concurrency),
    estimate(at.output_tokens_per_s),
    estimate(at.latency_ms / 1000),
    estimate(at.ttft_ms),
    estimate(at.tpot_ms),
  ]);
  const heads = [
    "In flight",
    "Tokens/s of all",
    "Seconds per request",
    "First token, ms",
    "Later tokens, ms",
  ];
  return [
    picture("speed", title, describeSpeed(figures), draw, drawings),
    behind("The curve as a table", table(title, heads, rows)),
  ];
}

/** The pool's size, and what each mark of the picture means. */
function sentence({ pool, marks }) {
  const size = pool ? `The KV cache of one engine holds ${count(pool)} tokens. ` : "";
  const keys = marks.map((at) => element("span", { class: "key" }, dot(at.kind), markText(at)));
  return [size, ...keys];
}

/** What it costs, over the requests that arrive; null without prices. */
export function costSection(figures, drawings) {
  if (!figures) return null;
  const title = figures.of ? `Cost of ${figures.of}` : "Cost";
  return element(
    "section",
    {},
    element("h2", {}, title),
    element("ul", {}, ...lines(figures.sentences)),
    ...(figures.points.length ? costCurve(figures, drawings) : []),
  );
}

function costCurve(figures, drawings) {
  const title = "Cost over requests a second";
  const draw = (svg, width) => drawCost(svg, figures, width);
  const rows = figures.points.map((at) => [rate(at.rate), money(at.price)]);
  const heads = ["Requests a second", costTitle(figures)];
  const keys = costMarks(figures).map(({ kind, text }) =>
    element("span", { class: "key" }, dot(kind), text),
  );
  return [
    element("p", {}, ...keys),
    picture("cost", title, describeCost(figures), draw, drawings),
    behind("The costs as a table", table(title, heads, rows)),
  ];
}
