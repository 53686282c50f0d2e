// One GPU's memory as a stacked bar against the utilisation line.

import { axisBottom } from "d3-axis";
import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { gib, percent } from "./format.js";

const BAR = { top: 44, height: 54 };
const HEIGHT = BAR.top + BAR.height + 40;
const SIDE = 12;
// Of a letter at 12 px, and the space around a label.
const LETTER = 6.6;
const AROUND = 14;

/** What the bar says, for people who do not see it. */
export function describeMemory({ parts, budget, visible, utilization, between, short, missing }) {
  const list = parts.map((part) => `${part.label} ${gib(part.gib)}`).join(", ");
  const range = between === null ? "" : ` In 80 % of cases the KV cache has ${span(between)}.`;
  const none = short === null ? "" : ` No KV cache: ${gib(short)} short of the first byte.`;
  const lacks = missing === null ? "" : ` To start, one GPU lacks ${gib(missing)}.`;
  return (
    `One GPU has ${gib(visible)}, of which vLLM may use ${percent(utilization)}, ` +
    `${gib(budget)}. ${list}.${range}${none}${lacks}`
  );
}

/** An interval of memory in words. */
export function span([low, high]) {
  return `${gib(low)} to ${gib(high)}`;
}

/** Draw into `svg` (a d3 selection), `width` pixels wide. */
export function drawMemory(svg, figures, width) {
  const { parts, budget, visible, between, missing, reach } = figures;
  const used = parts.reduce((sum, part) => sum + part.gib, 0);
  const end = Math.max(visible, used, reach + (missing ?? 0));
  const x = scaleLinear([0, end], [SIDE, width - SIDE]);
  svg.attr("viewBox", `0 0 ${width} ${HEIGHT}`).attr("width", width).attr("height", HEIGHT);

  let start = 0;
  const placed = parts.map((part) => {
    const place = { ...part, left: x(start), right: x(start + part.gib) };
    start += part.gib;
    return place;
  });
  const bars = svg.append("g").selectAll("g").data(placed).join("g");
  bars
    .append("rect")
    .attr("class", (part) => `fill-${part.key}`)
    .attr("x", (part) => part.left)
    .attr("y", BAR.top)
    // A hair of space tells neighbours apart without colour.
    .attr("width", (part) => Math.max(part.right - part.left - 1, 0.75))
    .attr("height", BAR.height);
  bars.append("title").text((part) => `${part.label}: ${gib(part.gib)}`);
  const name = (part) => part.label.replace(" (outside the budget)", "");
  const figure = (part) => gib(part.gib);
  const needed = (part) => LETTER * Math.max(name(part).length, figure(part).length) + AROUND;
  const wide = bars.filter((part) => part.right - part.left >= needed(part));
  for (const [line, text] of [
    [18, name],
    [34, figure],
  ]) {
    wide
      .append("text")
      .attr("class", (part) => `bar-label on-${part.key}`)
      .attr("x", (part) => part.left + 8)
      .attr("y", BAR.top + line)
      .text(text);
  }

  if (missing !== null) lack(svg, x(reach), x(reach + missing), gib(missing));
  const cache = placed.find((part) => part.key === "available_kv_cache_gib");
  // The cache is what is left of the budget: its beginning is what is uncertain.
  if (between && cache) {
    const [most, least] = between.map((bound) => cache.right - (x(bound) - x(0))).reverse();
    uncertain(svg, most, least, span(between));
  }
  mark(svg, x(visible), 14, `GPU memory ${gib(visible)}`, "line-gpu", width);
  mark(svg, x(budget), 32, `vLLM's budget ${gib(budget)}`, "line-budget", width);
  const axis = axisBottom(x).ticks(Math.max(2, Math.min(8, width / 90))).tickSizeOuter(0);
  svg
    .append("g")
    .attr("class", "axis")
    .attr("transform", `translate(0,${BAR.top + BAR.height + 6})`)
    .call(axis.tickFormat((value) => `${value} GiB`))
    .select(".tick text")
    .attr("text-anchor", "start")
    .attr("x", -0.5);
}

/** What one GPU lacks, beyond what vLLM may use. */
function lack(svg, left, right, text) {
  const box = svg.append("rect").attr("class", "missing").attr("x", left).attr("y", BAR.top - 1);
  box.attr("width", Math.max(right - left, 2)).attr("height", BAR.height + 2);
  box.append("title").text(`Missing: ${text}`);
}

/** Between which two points the cache begins in 80 % of cases. */
function uncertain(svg, left, right, text) {
  const group = svg.append("g").attr("class", "spread");
  group.append("title").text(`80 % of KV caches: ${text}`);
  const middle = BAR.top + BAR.height - 8;
  const path = `M${left},${middle}H${right}M${left},${middle - 5}v10M${right},${middle - 5}v10`;
  for (const layer of ["under", "over"]) group.append("path").attr("class", layer).attr("d", path);
}

function mark(svg, at, y, label, kind, width) {
  const group = svg.append("g").attr("class", kind);
  group
    .append("line")
    .attr("x1", at)
    .attr("x2", at)
    .attr("y1", y - 10)
    .attr("y2", BAR.top + BAR.height + 5);
  const before = at > width / 2;
  group
    .append("text")
    .attr("x", before ? at - 6 : at + 6)
    .attr("y", y)
    .attr("text-anchor", before ? "end" : "start")
    .text(label);
}
