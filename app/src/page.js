// The page: an answer of plan_deployment or predict_startup, drawn and in tables.
// Inside an MCP host it is told the answer; in a report the answer is in the page.

import { answerSections, colours } from "./answer.js";
import { connect } from "./bridge.js";
import { fitControls } from "./controls.js";
import { element } from "./element.js";
import { fitAll } from "./parts.js";

const body = document.getElementById("answer");
const status = document.getElementById("status");
let drawings = [];
// The arguments of the call that is shown, and how to make another; null without a host.
let asked = null;
let host = null;

function show(answer) {
  const sections = answerSections(answer, { asked, again: host && again });
  status.hidden = true;
  if (host) fitControls(document.getElementById("controls"), answer, asked, again);
  body.replaceChildren(...sections.parts);
  drawings = sections.drawings;
  fitAll(drawings);
}

function tell(text) {
  status.hidden = false;
  status.textContent = text;
}

/** Ask again with some arguments changed, and show what comes; null takes one away. */
async function again(tool, changed) {
  const question = { ...asked, ...changed };
  for (const [name, value] of Object.entries(question)) if (value === null) delete question[name];
  tell("Asking again …");
  asked = question;
  onResult(await host.call(tool, question));
}

function onResult(result) {
  const answer = withFigures(result.structuredContent, result._meta?.["vllm-preflight/page"]);
  if (!result.isError && answer?.verdict && answer.startup) {
    show(answer);
    return;
  }
  body.replaceChildren();
  const texts = (result.content ?? []).filter((block) => block.type === "text");
  tell(texts.map((block) => block.text).join("\n") || "The tool gave no answer.");
}

/** A brief answer with what only this page draws, section by section. */
function withFigures(answer, drawn = {}) {
  const sections = Object.entries(drawn).map(([name, figures]) => [
    name,
    { ...answer?.[name], ...figures },
  ]);
  return answer && { ...answer, ...Object.fromEntries(sections) };
}

function onContext(context) {
  if (context.theme) document.documentElement.dataset.theme = context.theme;
  for (const [name, value] of Object.entries(context.styles?.variables ?? {})) {
    if (name.startsWith("--font-") && value) document.documentElement.style.setProperty(name, value);
  }
}

function onInput(input) {
  asked = input;
  const { model, gpu, command: line } = input;
  const what = model ?? line ?? "the model";
  tell(`Working out ${what}${gpu ? ` on ${gpu}` : ""} …`);
}

document.head.append(element("style", {}, colours()));
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth !== width) {
    width = window.innerWidth;
    fitAll(drawings);
  }
});
const embedded = document.getElementById("data").textContent.trim();
if (embedded) {
  document.documentElement.classList.add("report");
  show(JSON.parse(embedded));
} else {
  connect(
    { name: "vllm-preflight", version: VERSION },
    {
      onInput,
      onResult,
      onContext,
      onCancelled: () => tell("The call was cancelled."),
      onHost: (found) => (host = found.takesCalls ? found : null),
    },
  );
}
