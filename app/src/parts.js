// What the sections of an answer are made of: a picture that is drawn again, a table, a key.

import { select } from "d3-selection";
import { element } from "./element.js";

const NARROWEST = 280;

/**
 * A picture with its title and description for people who do not see it. `draw(svg, width)`
 * draws it; `drawings` collects what `fitAll` and the picture to save need.
 */
export function picture(id, title, description, draw, drawings) {
  const holder = element("div", { class: "picture" });
  const fit = (width) => {
    const svg = select(holder)
      .html("")
      .append("svg")
      .attr("role", "img")
      .attr("aria-labelledby", `${id}-title ${id}-desc`);
    svg.append("title").attr("id", `${id}-title`).text(title);
    svg.append("desc").attr("id", `${id}-desc`).text(description);
    draw(svg, Math.max(NARROWEST, Math.floor(width)));
  };
  drawings.push({ title, draw, holder, fit });
  return holder;
}

/** Draw all as wide as their places are. */
export function fitAll(drawings) {
  // All are measured before the first is drawn: each change of the page costs a layout.
  const widths = drawings.map(({ holder }) => holder.clientWidth);
  drawings.forEach(({ fit }, at) => fit(widths[at]));
}

/** Names in the first column, figures in the others; with `prose`, text in the last. */
export function table(caption, heads, rows, { prose = false } = {}) {
  const kind = (at) => (prose && at === heads.length - 1 ? {} : { class: "number" });
  const head = (text, at) => element("th", { scope: "col", ...(at ? kind(at) : {}) }, text);
  const cell = (value, at) => element("td", kind(at + 1), value);
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
          ...others.map(cell),
        ),
      ),
    ),
  );
}

/** A wide table in a frame that scrolls by itself, by keyboard too. */
export function wideTable(caption, heads, rows, options) {
  const frame = { class: "scroll", tabindex: "0", role: "region", "aria-label": caption };
  return element("div", frame, table(caption, heads, rows, options));
}

/** A table that is opened when it is wanted. */
export function behind(summary, ...children) {
  return element("details", {}, element("summary", {}, summary), ...children);
}

/** The sign of a mark in a picture. */
export function dot(kind) {
  return element("span", { class: `dot dot-${kind}`, "aria-hidden": "true" });
}

/** Sentences as list items. */
export function lines(sentences) {
  return sentences.map((text) => element("li", {}, text));
}
