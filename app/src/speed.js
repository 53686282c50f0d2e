// Output against a request's time over the requests in flight: what more load buys and costs.

import { scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { drawAxes, drawGrid, steps, thinned } from "./axes.js";
import { estimate } from "./format.js";

const HEIGHT = 270;
const SPACE = { top: 24, right: 26, bottom: 46, left: 58 };
// A label needs this much, or it is left out.
const ROOM = { across: 34, up: 18 };

const seconds = (at) => at.latency_ms / 1000;
const flow = (at) => `${estimate(at.output_tokens_per_s)} tokens/s, ${estimate(seconds(at))} s`;

/** What the mark means, in words. */
export function askedText({ asked }) {
  return (
    `This workload: ${estimate(asked.concurrency)} in flight give ` +
    `${estimate(asked.output_tokens_per_s)} tokens/s, ` +
    `and each takes ${estimate(seconds(asked))} s`
  );
}

/** What the chart says, for people who do not see it. */
export function describeSpeed(figures) {
  const { points, between: [low, high], target } = figures;
  const list = points.map((at) => `with ${estimate(at.concurrency)}, ${flow(at)}`);
  const wanted = target ? ` The target is ${estimate(target.latency_ms / 1000)} s.` : "";
  return (
    `Output of all requests, and the time of each, by requests in flight: ${list.join("; ")}. ` +
    `${askedText(figures)}; output in 80 % of cases between ${estimate(low)} and ` +
    `${estimate(high)} tokens/s.${wanted}`
  );
}

/** Draw into `svg` (a d3 selection), `width` pixels wide. */
export function drawSpeed(svg, { points, asked, between, target }, width) {
  const outputs = [...points.map((at) => at.output_tokens_per_s), ...between];
  const times = points.map(seconds);
  if (target) times.push(target.latency_ms / 1000);
  const stepsX = steps(outputs);
  const stepsY = steps(times);
  const x = scaleLog([stepsX[0], stepsX.at(-1)], [SPACE.left, width - SPACE.right]);
  const y = scaleLog([stepsY[0], stepsY.at(-1)], [HEIGHT - SPACE.bottom, SPACE.top]);
  const ticksX = thinned(stepsX, Math.max(3, width / 80));
  const ticksY = thinned(stepsY, 7);
  const along = (at) => x(at.output_tokens_per_s);
  const up = (at) => y(seconds(at));
  svg.attr("viewBox", `0 0 ${width} ${HEIGHT}`).attr("width", width).attr("height", HEIGHT);

  drawGrid(svg, y, ticksY, x.range());
  if (target) targetLine(svg, y(target.latency_ms / 1000), x.range(), target);
  svg.append("path").attr("class", "speed").attr("d", line(along, up)(points));
  svg
    .append("g")
    .attr("class", "speed-points")
    .selectAll("circle")
    .data(points)
    .join("circle")
    .attr("cx", along)
    .attr("cy", up)
    .attr("r", 3)
    .append("title")
    .text((at) => `${estimate(at.concurrency)} in flight: ${flow(at)}`);
  interval(svg, between.map(x), up(asked));
  svg
    .append("circle")
    .attr("class", "mark")
    .attr("cx", along(asked))
    .attr("cy", up(asked))
    .attr("r", 4.5);
  svg
    .append("g")
    .attr("class", "flights")
    .selectAll("text")
    .data(apart([asked, ...points.filter((at) => at !== asked)], along, up))
    .join("text")
    .attr("class", (at) => (at === asked ? "flight-asked" : null))
    .attr("x", (at) => Math.max(along(at) - 7, SPACE.left + 20))
    .attr("y", (at) => up(at) - (at === asked ? 9 : 7))
    .attr("text-anchor", "end")
    .text((at) => estimate(at.concurrency));
  svg
    .append("g")
    .attr("class", "region")
    .append("text")
    .attr("x", SPACE.left + 8)
    .attr("y", SPACE.top - 8)
    .text("numbers: requests in flight");

  drawAxes(
    svg,
    { scale: x, ticks: ticksX, format: estimate, title: "tokens/s of all requests" },
    { scale: y, ticks: ticksY, format: estimate, title: "seconds per request" },
  );
}

/** Where the output lies in 80 % of cases. */
function interval(svg, [low, high], at) {
  const group = svg.append("g").attr("class", "interval");
  const drawn = (x1, x2, y1, y2) =>
    group.append("line").attr("x1", x1).attr("x2", x2).attr("y1", y1).attr("y2", y2);
  drawn(low, high, at, at);
  drawn(low, low, at - 5, at + 5);
  drawn(high, high, at - 5, at + 5);
}

function targetLine(svg, at, [left, right], target) {
  const group = svg.append("g").attr("class", "line-limit");
  group.append("line").attr("x1", left).attr("x2", right).attr("y1", at).attr("y2", at);
  group
    .append("text")
    .attr("x", left + 8)
    .attr("y", at - 5)
    .text(`target ${estimate(target.latency_ms / 1000)} s`);
}

/** Those points, the first ones first, whose labels do not touch another's. */
function apart(points, along, up) {
  const kept = [];
  for (const at of points) {
    const near = (other) =>
      Math.abs(along(at) - along(other)) < ROOM.across && Math.abs(up(at) - up(other)) < ROOM.up;
    if (!kept.some(near)) kept.push(at);
  }
  return kept;
}
