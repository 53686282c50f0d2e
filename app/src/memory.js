// One GPU's memory as a stacked bar against the utilisation line.

import { axisBottom } from "d3-axis";
import { scaleLinear } from "d3-scale";
import { select } from "d3-selection";
import { gib, percent } from "./format.js";

const BAR = { top: 44, height: 46 };
const HEIGHT = BAR.top + BAR.height + 40;
const SIDE = 12;
// Of a letter at 12 px, and the space around a label.
const LETTER = 6.6;
const AROUND = 14;

/** What the bar says, for people who do not see it. */
export function describeMemory({ parts, budget, visible, utilization, short }) {
  const list = parts.map((part) => `${part.label} ${gib(part.gib)}`).join(", ");
  const none = short === null ? "" : ` No KV cache: ${gib(short)} short of the first byte.`;
  return (
    `One GPU has ${gib(visible)}, of which vLLM may use ${percent(utilization)}, ` +
    `${gib(budget)}. ${list}.${none}`
  );
}

/** Draw into `svg` (a d3 selection), `width` pixels wide. */
export function drawMemory(svg, figures, width) {
  const { parts, budget, visible } = figures;
  const used = parts.reduce((sum, part) => sum + part.gib, 0);
  const x = scaleLinear([0, Math.max(visible, used)], [SIDE, width - SIDE]);
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
    [19, name],
    [35, figure],
  ]) {
    wide
      .append("text")
      .attr("class", (part) => `bar-label on-${part.key}`)
      .attr("x", (part) => part.left + 8)
      .attr("y", BAR.top + line)
      .text(text);
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
