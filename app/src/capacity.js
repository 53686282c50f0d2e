// How many requests of each length the KV cache holds at once: where it stops fitting.

import { scaleLog } from "d3-scale";
import { area, line } from "d3-shape";
import { drawAxes, drawGrid } from "./axes.js";
import { count, requests, tokens } from "./format.js";

const HEIGHT = 270;
const SPACE = { top: 24, right: 18, bottom: 46, left: 58 };

/** What the marks mean, in words. */
export function markText({ kind, tokens: length, requests: number }) {
  const many = `${requests(number)} × ${count(length)} tokens`;
  if (kind === "asked") return `Asked: ${many}`;
  if (kind === "margin") return `Most with margin: ${many}`;
  return `Full length: ${many}`;
}

/** What the chart says, for people who do not see it. */
export function describeCapacity({ points, marks, limit, pool }) {
  const list = points.map((at) => `${requests(at.requests)} of ${count(at.tokens)} tokens`);
  const size = pool ? `The KV cache holds ${count(pool)} tokens. ` : "";
  return (
    `${size}Requests it holds at once: ${list.join(", ")}. ` +
    `${marks.map(markText).join(". ")}. max_model_len is ${count(limit)} tokens.`
  );
}

/** Draw into `svg` (a d3 selection), `width` pixels wide. */
export function drawCapacity(svg, { points, marks, limit }, width) {
  const all = [...points, ...marks];
  const lengths = [...all.map((at) => at.tokens), limit];
  const numbers = all.map((at) => at.requests);
  const x = scaleLog(
    [Math.min(...lengths), Math.max(...lengths) * 1.1],
    [SPACE.left, width - SPACE.right],
  ).base(2);
  const y = scaleLog(
    [Math.min(0.8, ...numbers) / 1.1, Math.max(2, ...numbers) * 1.4],
    [HEIGHT - SPACE.bottom, SPACE.top],
  );
  const bottom = y.range()[0];
  svg.attr("viewBox", `0 0 ${width} ${HEIGHT}`).attr("width", width).attr("height", HEIGHT);

  const ticksX = powers(2, x.domain(), Math.max(3, width / 80));
  const ticksY = powers(10, y.domain(), 6);
  drawGrid(svg, y, ticksY, x.range());
  const along = (at) => x(at.tokens);
  const up = (at) => y(at.requests);
  svg
    .append("path")
    .attr("class", "fits")
    .attr("d", area(along, () => bottom, up)(points));
  svg.append("path").attr("class", "frontier").attr("d", line(along, up)(points));
  svg
    .append("g")
    .attr("class", "frontier-points")
    .selectAll("circle")
    .data(points)
    .join("circle")
    .attr("cx", along)
    .attr("cy", up)
    .attr("r", 3)
    .append("title")
    .text((at) => `${requests(at.requests)} requests of ${count(at.tokens)} tokens`);

  limitLine(svg, x(limit), bottom, width, `max_model_len ${count(limit)}`);
  const region = svg.append("g").attr("class", "region");
  region
    .append("text")
    .attr("x", width - SPACE.right - 40)
    .attr("y", SPACE.top + 18)
    .attr("text-anchor", "end")
    .text("does not fit");
  region.append("text").attr("x", SPACE.left + 8).attr("y", bottom - 8).text("fits");
  svg
    .selectAll(".mark")
    .data(marks)
    .join("circle")
    .attr("class", (at) => `mark mark-${at.kind}`)
    .attr("cx", along)
    .attr("cy", up)
    .attr("r", (at) => (at.kind === "margin" ? 7.5 : 4.5))
    .append("title")
    .text(markText);

  drawAxes(
    svg,
    { scale: x, ticks: ticksX, format: tokens, title: "tokens per request" },
    { scale: y, ticks: ticksY, format: count, title: "requests at once" },
  );
}

function limitLine(svg, at, bottom, width, label) {
  const group = svg.append("g").attr("class", "line-limit");
  group.append("line").attr("x1", at).attr("x2", at).attr("y1", SPACE.top - 18).attr("y2", bottom);
  const before = at > width / 2;
  group
    .append("text")
    .attr("x", before ? at - 6 : at + 6)
    .attr("y", SPACE.top - 8)
    .attr("text-anchor", before ? "end" : "start")
    .text(label);
}

/** Powers of `base` inside a domain, thinned evenly to at most `most`. */
function powers(base, [low, high], most) {
  const first = Math.ceil(Math.log(low) / Math.log(base) - 1e-9);
  const last = Math.floor(Math.log(high) / Math.log(base) + 1e-9);
  const step = Math.max(1, Math.ceil((last - first + 1) / most));
  const values = [];
  for (let power = first; power <= last; power += step) values.push(base ** power);
  return values;
}
