// An answer as sections of a page: verdict, pictures, tables, what would help, the command.

import { select } from "d3-selection";
import chart from "../../server/vllm_preflight_server/pages/app_page/chart.json";
import { commandBlock } from "./copy.js";
import { code, element } from "./element.js";
import { describeCapacity, drawCapacity, markText } from "./capacity.js";
import { capacity, memory, speed, texts } from "./figures.js";
import { count, estimate, gib, percent, requests } from "./format.js";
import { describeMemory, drawMemory, span } from "./memory.js";
import { changes, flags } from "./remedies.js";
import { askedText, describeSpeed, drawSpeed } from "./speed.js";
import { isGood, verdict } from "./verdict.js";

/**
 * The sections of a plan or a prediction, and what draws their pictures again.
 *
 * `asked` are the arguments of the call, null where the answer's own words do. `again(tool,
 * changes)` asks with some of them changed; null where the page cannot ask.
 */
export function answerSections(answer, { asked, again }) {
  const drawings = [];
  const parts = [
    verdict(answer, asked),
    memorySection(memory(answer), drawings),
    capacitySection(capacity(answer), answer, drawings),
    speedSection(speed(answer), drawings),
    textsSection(texts(answer)),
    reasons(answer, again),
    settings(answer),
    command(answer),
  ].filter(Boolean);
  return { parts, redraw: () => drawings.forEach((draw) => draw()) };
}

/** The colours of the parts of memory and of the speed, as rules of style. */
export function colours() {
  const rule = ({ field, light, dark }) =>
    `.fill-${field}{fill:light-dark(${light},${dark})}` +
    `.back-${field}{background:light-dark(${light},${dark})}`;
  const rest = ["unused", "outside", "others"].map((key) => ({ field: key, ...chart[key] }));
  const { light, dark } = chart.speed;
  const speed = `:root{--speed:light-dark(${light},${dark})}`;
  return [...chart.parts, ...rest].map(rule).concat(speed).join("\n");
}

function picture(id, title, description, draw, drawings) {
  const holder = element("div", { class: "picture" });
  drawings.push(() => {
    const svg = select(holder)
      .html("")
      .append("svg")
      .attr("role", "img")
      .attr("aria-labelledby", `${id}-title ${id}-desc`);
    svg.append("title").attr("id", `${id}-title`).text(title);
    svg.append("desc").attr("id", `${id}-desc`).text(description);
    draw(svg, Math.max(280, Math.floor(holder.clientWidth)));
  });
  return holder;
}

/** Names in the first column, figures in the others; with `prose`, text in the last. */
function table(caption, heads, rows, { prose = false } = {}) {
  const kind = (at) => (prose && at === heads.length - 1 ? {} : { class: "number" });
  const head = (text, at) => element("th", { scope: "col", ...(at ? kind(at) : {}) }, text);
  return element(
    "table",
    {},
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, ...heads.map(head))),
    element(
      "tbody",
      {},
      ...rows.map(([first, ...others]) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, ...[first].flat()),
          ...others.map((value, at) => element("td", kind(at + 1), value)),
        ),
      ),
    ),
  );
}

function memorySection(figures, drawings) {
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

function capacitySection(figures, answer, drawings) {
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
    element(
      "details",
      {},
      element("summary", {}, "Figures as a table"),
      table(title, ["Tokens per request", "Requests at once"], rows),
    ),
  );
}

function speedSection(figures, drawings) {
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

function textsSection(figures) {
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
    element(
      "details",
      {},
      element("summary", {}, "The curve as a table"),
      table(title, heads, rows),
    ),
  ];
}

function dot(kind) {
  return element("span", { class: `dot dot-${kind}`, "aria-hidden": "true" });
}

/** The pool's size, and what each mark of the picture means. */
function sentence({ pool, marks }) {
  const size = pool ? `The KV cache of one engine holds ${count(pool)} tokens. ` : "";
  const keys = marks.map((at) => element("span", { class: "key" }, dot(at.kind), markText(at)));
  return [size, ...keys];
}

function reasons(answer, again) {
  const { startup } = answer;
  const remedies = [
    ...changes(answer.remedies ?? [], again),
    ...changes(answer.alternatives ?? [], again),
    ...flags(startup?.failure?.remedies ?? []),
  ];
  const warnings = [
    ...(answer.feasibility?.warnings ?? []),
    ...(startup?.warnings ?? []),
    ...(answer.performance?.warnings ?? []),
    ...(answer.warnings ?? []),
  ];
  const failure = startup?.failure?.message;
  const told = failure && answer.verdict.sentence.includes(failure.slice(1));
  const lists = [
    failure && !told && ["Why vLLM would not start", lines([failure])],
    remedies.length && ["What would help", remedies],
    warnings.length && ["Look out for", lines([...new Set(warnings)])],
    answer.next_steps?.length && ["Next", lines(answer.next_steps)],
  ].filter(Boolean);
  if (!lists.length) return null;
  return element(
    "section",
    {},
    ...lists.flatMap(([title, items]) => [
      element("h2", {}, title),
      element("ul", {}, ...items),
    ]),
  );
}

function lines(sentences) {
  return sentences.map((text) => element("li", {}, text));
}

function settings(answer) {
  const reasons = Object.entries(answer.config?.explanations ?? {});
  if (!reasons.length) return null;
  const rows = reasons.map(([name, why]) => [
    [code(name)],
    String(answer.config[name] ?? ""),
    why,
  ]);
  return element(
    "details",
    {},
    element("summary", {}, "Why these settings"),
    table("Why these settings", ["Setting", "Value", "Reason"], rows, { prose: true }),
  );
}

/** What to run; where it would not start as asked, the line that does, said to be one. */
function command(answer) {
  const { artifacts, command: line } = answer;
  const commands = artifacts?.node_commands ?? [artifacts?.serve_command ?? line].filter(Boolean);
  if (!commands.length) return null;
  const good = isGood(answer.verdict);
  const several = commands.length > 1 ? "Commands, one for each machine" : "Command";
  const title = good ? several : "Command with the first change that makes it start";
  return element("section", {}, element("h2", {}, title), ...commands.map(commandBlock));
}
