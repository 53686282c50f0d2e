// What the charts with two axes have in common.

import { axisBottom, axisLeft } from "d3-axis";

// Values keep off the ends of a logarithmic axis by this ratio.
const BESIDE = 1.05;

/** Lines across the plot at the ticks of the upright axis. */
export function drawGrid(svg, y, ticks, [left, right]) {
  svg
    .append("g")
    .attr("class", "grid")
    .selectAll("line")
    .data(ticks)
    .join("line")
    .attr("x1", left)
    .attr("x2", right)
    .attr("y1", y)
    .attr("y2", y);
}

/** Both axes; `across` and `up` have scale, ticks, format and title. */
export function drawAxes(svg, across, up) {
  const [left, right] = across.scale.range();
  const [bottom, top] = up.scale.range();
  const drawn = (axis, { ticks, format }, at) =>
    svg
      .append("g")
      .attr("class", "axis")
      .attr("transform", `translate(${at})`)
      .call(axis.tickValues(ticks).tickFormat(format).tickSizeOuter(0));
  drawn(axisBottom(across.scale), across, [0, bottom]);
  drawn(axisLeft(up.scale), up, [left, 0]);
  svg
    .append("text")
    .attr("class", "axis-title")
    .attr("x", right)
    .attr("y", bottom + 40)
    .attr("text-anchor", "end")
    .text(`${across.title} →`);
  svg
    .append("text")
    .attr("class", "axis-title")
    .attr("transform", `translate(13,${(top + bottom) / 2}) rotate(-90)`)
    .attr("text-anchor", "middle")
    .text(`${up.title} →`);
}

/** 1, 2 and 5 times powers of ten, from the last before the values to the first after them. */
export function steps(values) {
  const low = Math.min(...values) / BESIDE;
  const high = Math.max(...values) * BESIDE;
  const found = [];
  for (let power = Math.floor(Math.log10(low)); (found.at(-1) ?? 0) < high; power += 1) {
    for (const times of [1, 2, 5]) found.push(Number(`${times}e${power}`));
  }
  const first = found.findLastIndex((value) => value <= low);
  return found.slice(first, found.findIndex((value) => value >= high) + 1);
}

/** Evenly thinned to at most `most`. */
export function thinned(values, most) {
  const step = Math.ceil(values.length / most);
  return values.filter((_, at) => at % step === 0);
}
