// The answer as it stands, taken out of the page: a file that opens alone, and a picture.

import { select } from "d3-selection";
import { element } from "./element.js";

// A picture is as wide as this in points, and has so many pixels to the point.
const WIDTH = 860;
const PIXELS = 2;
const MARGIN = 24;
const HEAD = { size: 17, line: 24 };
const TEXT = { size: 14, line: 21 };
const TITLE = { size: 14, above: 22, below: 10 };
// Of a letter in parts of its size; text is broken before it could be cut.
const LETTER = 0.62;
// What the style of the page says about a drawing, which its file must say itself.
const STYLED = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "paint-order", "font-family",
  "font-size", "font-weight",
];

/** A page that shows `answer` (an element of this page) without script or network. */
export function reportPage(answer, title, footer) {
  const made = document.implementation.createHTMLDocument(title);
  made.documentElement.lang = "en";
  made.documentElement.classList.add("report");
  made.head.prepend(
    element("meta", { charset: "utf-8" }),
    element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
  );
  for (const style of document.querySelectorAll("style")) made.head.append(style.cloneNode(true));
  const body = answer.cloneNode(true);
  // Nothing can be clicked there: choices are their words, other buttons nothing.
  for (const button of body.querySelectorAll("button")) {
    if (button.classList.contains("choice")) button.replaceWith(button.textContent);
    else button.remove();
  }
  const main = element("main", {}, body, element("p", { class: "note" }, footer));
  made.body.append(made.adoptNode(main));
  return `<!doctype html>\n${made.documentElement.outerHTML}\n`;
}

/** A PNG of `drawings` below a head and lines of text, in light colours; null without any. */
export async function pictureOf(drawings, head, texts) {
  if (!drawings.length) return null;
  // Drawn where styles reach it and nobody sees it.
  const stage = element("div", { class: "stage", "aria-hidden": "true" });
  document.body.append(stage);
  try {
    const svg = sheet(stage, drawings, head, texts);
    return await rastered(svg);
  } finally {
    stage.remove();
  }
}

/** One drawing that holds the head, the text and all drawings below one another. */
function sheet(stage, drawings, head, texts) {
  const svg = select(stage).append("svg").attr("xmlns", "http://www.w3.org/2000/svg");
  const paper = svg.append("rect").attr("class", "paper");
  const inner = WIDTH - 2 * MARGIN;
  let y = MARGIN;
  const write = (text, { size, line }, weight) => {
    for (const part of broken(text, inner / (size * LETTER))) {
      y += line;
      svg
        .append("text")
        .attr("x", MARGIN)
        .attr("y", y - (line - size))
        .attr("style", `font-size: ${size}px; font-weight: ${weight}`)
        .text(part);
    }
  };
  write(head, HEAD, 700);
  for (const text of texts) write(text, TEXT, 400);
  for (const { title, draw } of drawings) {
    y += TITLE.above;
    write(title, { size: TITLE.size, line: TITLE.size }, 700);
    y += TITLE.below;
    const place = svg.append("svg").attr("x", MARGIN).attr("y", y);
    draw(place, inner);
    y += Number(place.attr("height"));
  }
  const height = y + MARGIN;
  paper.attr("width", WIDTH).attr("height", height);
  svg.attr("width", WIDTH).attr("height", height).attr("viewBox", `0 0 ${WIDTH} ${height}`);
  for (const node of svg.node().querySelectorAll("*")) {
    const style = getComputedStyle(node);
    for (const name of STYLED) node.style.setProperty(name, style.getPropertyValue(name));
  }
  return svg.node();
}

/** Lines of at most so many letters, broken between words. */
function broken(text, most) {
  const found = [""];
  for (const word of text.split(" ")) {
    const longer = `${found.at(-1)} ${word}`.trim();
    if (longer.length <= most || !found.at(-1)) found[found.length - 1] = longer;
    else found.push(word);
  }
  return found;
}

async function rastered(svg) {
  const source = new XMLSerializer().serializeToString(svg);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = svg.width.baseVal.value * PIXELS;
  canvas.height = svg.height.baseVal.value * PIXELS;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
