// Cost of a million generated tokens over the requests that arrive: what idle machines cost.

import { scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { drawAxes, drawGrid, steps, thinned } from "./axes.js";
import { money, rate } from "./format.js";

const HEIGHT = 250;
const SPACE = { top: 24, right: 26, bottom: 46, left: 58 };
const MEANS = { asked: "This workload", load: "The daily load" };

const spent = (at, { currency }) => [money(at.price), currency].filter(Boolean).join(" ");

/** What is drawn, with its currency where it is known. */
export function costTitle(figures) {
  return `Cost of a million generated tokens${inCurrency(figures)}`;
}

function inCurrency({ currency }) {
  return currency ? ` in ${currency}` : "";
}

/** What the marks mean, in words. */
export function costMarks(figures) {
  const told = figures.marks.map((at) => ({
    kind: at.kind,
    text: `${MEANS[at.kind]}: ${spent(at, figures)}`,
  }));
  const { api } = figures;
  if (!api) return told;
  return [...told, { kind: "api", text: `The API costs as much at ${rate(api.rate)} a second` }];
}

/** What the chart says, for people who do not see it. */
export function describeCost(figures) {
  const list = figures.points.map((at) => `${money(at.price)} at ${rate(at.rate)}`);
  const marks = costMarks(figures).map(({ text }) => ` ${text}.`);
  return (
    `${costTitle(figures)} by requests that arrive a second over all GPUs: ` +
    `${list.join("; ")}.${marks.join("")}`
  );
}

/** Draw into `svg` (a d3 selection), `width` pixels wide. */
export function drawCost(svg, figures, width) {
  const { points, marks, api } = figures;
  const ends = api ? [...points, ...marks, api] : [...points, ...marks];
  const stepsX = steps(ends.map((at) => at.rate));
  const stepsY = steps(ends.map((at) => at.price));
  const x = scaleLog([stepsX[0], stepsX.at(-1)], [SPACE.left, width - SPACE.right]);
  const y = scaleLog([stepsY[0], stepsY.at(-1)], [HEIGHT - SPACE.bottom, SPACE.top]);
  const ticksX = thinned(stepsX, Math.max(3, width / 80));
  const ticksY = thinned(stepsY, 6);
  const along = (at) => x(at.rate);
  const up = (at) => y(at.price);
  svg.attr("viewBox", `0 0 ${width} ${HEIGHT}`).attr("width", width).attr("height", HEIGHT);

  drawGrid(svg, y, ticksY, x.range());
  if (api) apiLine(svg, up(api), x.range(), api);
  const curve = [...points, ...marks].sort((one, other) => one.rate - other.rate);
  svg.append("path").attr("class", "cost").attr("d", line(along, up)(curve));
  const drawn = (kind, data, radius) =>
    svg
      .append("g")
      .attr("class", kind)
      .selectAll("circle")
      .data(data)
      .join("circle")
      .attr("class", (at) => (at.kind ? `mark mark-${at.kind}` : null))
      .attr("cx", along)
      .attr("cy", up)
      .attr("r", radius)
      .append("title")
      .text((at) => `${rate(at.rate)} a second: ${spent(at, figures)}`);
  drawn("cost-points", points, 3);
  drawn("cost-marks", marks, 5.5);

  drawAxes(
    svg,
    { scale: x, ticks: ticksX, format: rate, title: "requests a second" },
    { scale: y, ticks: ticksY, format: rate, title: `a million generated${inCurrency(figures)}` },
  );
}

function apiLine(svg, at, [left, right], { price }) {
  const group = svg.append("g").attr("class", "line-limit");
  group.append("line").attr("x1", left).attr("x2", right).attr("y1", at).attr("y2", at);
  group
    .append("text")
    .attr("x", right - 4)
    .attr("y", at - 5)
    .attr("text-anchor", "end")
    .text(`API ${money(price)}`);
}
