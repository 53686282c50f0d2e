// The head of the page: what becomes of the question, how likely, and what was asked.

import { element } from "./element.js";
import { count, estimate as numbers } from "./format.js";

const WORDS = {
  carries: "Carries the workload",
  queues: "Starts, some requests wait",
  starts: "Starts",
  does_not_start: "Does not start",
  refused: "Refused by vLLM",
  not_modelled: "Not modelled",
};
// From here on a start is likely, below one minus it unlikely, between them a toss-up.
const LIKELY = 0.7;
// Below this no command is printed.
const SURE = 0.95;

/** Whether it may be started. */
export function isGood(told) {
  return ["carries", "queues", "starts"].includes(told.outcome);
}

function word({ outcome, start_probability: probability }) {
  if (outcome !== "borderline") return WORDS[outcome];
  if (probability >= LIKELY) return "Likely to start, not sure";
  return probability > 1 - LIKELY ? "A toss-up" : "Unlikely to start";
}

/** The verdict of an answer, with the question as `input` has it or as the answer says it. */
export function verdict(answer, input) {
  const { model, hardware, startup, verdict: told } = answer;
  const facts = [
    model?.model,
    hardware && `${hardware.gpus} × ${hardware.gpu}`,
    startup && `vLLM ${startup.vllm_version}`,
  ].filter(Boolean);
  const good = isGood(told);
  return element(
    "header",
    {},
    element("h1", {}, facts.join(" · ")),
    question(answer, input),
    element(
      "p",
      { class: "summary" },
      element(
        "strong",
        { class: good ? "verdict good" : "verdict bad" },
        `${good ? "✓" : "✕"} ${word(told)}`,
      ),
      element("span", { class: "unseen" }, ":"),
      ` ${told.sentence.replace(/\.$/, "")}.`,
    ),
    chance(told.start_probability),
    told.because ? element("p", { class: "because" }, told.because) : null,
  );
}

function chance(probability) {
  if (probability === undefined) return null;
  const share = Math.round(probability * 100);
  const meter = element("meter", {
    min: "0", max: "1", low: "0.5", high: String(SURE), optimum: "1", value: String(probability),
    "aria-label": `Start probability ${share} %`,
  });
  const bound = probability < SURE ? `; a command is recommended from ${SURE * 100} % on` : "";
  const text = `Start probability ${share} %${bound}.`;
  return element("p", { class: "chance" }, meter, ` ${text}`);
}

/** What was asked: the arguments of the call, or what the answer was worked out for. */
function question(answer, input) {
  const given = Object.entries(input ?? {}).filter(([name]) => name !== "detail" && name !== "chart");
  const text = given.length
    ? given.map(([name, value]) => `${name} ${shown(value)}`).join(", ")
    : derived(answer);
  return text ? element("p", { class: "asked" }, `Asked: ${text}.`) : null;
}

function shown(value) {
  if (typeof value === "string") return value;
  return typeof value === "number" ? numbers(value) : JSON.stringify(value);
}

function derived({ feasibility: sized, hardware, arguments: written, defaulted }) {
  if (!sized) {
    const said = Object.entries(written ?? {}).filter(
      ([name, value]) =>
        name !== "model" && value !== false && value !== 1 && !defaulted?.includes(name),
    );
    return said.map(([name, value]) => `${name} ${shown(value)}`).join(", ");
  }
  const { concurrency, context_tokens: tokens } = sized;
  const several = concurrency === 1 ? "request" : "requests";
  const given = hardware.gpus_available;
  const there = given ? `, ${given} GPU${given === 1 ? "" : "s"}` : "";
  return `${count(concurrency)} ${several} of ${count(tokens)} tokens at once${there}`;
}
