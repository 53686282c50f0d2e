// An answer as sections of a page: verdict, pictures, tables, what would help, the command.

import chart from "../../server/vllm_preflight_server/pages/app_page/chart.json";
import { commandBlock } from "./copy.js";
import { code, element } from "./element.js";
import { capacity, cost, memory, speed, texts } from "./figures.js";
import { behind, lines, table } from "./parts.js";
import { changes, flags } from "./remedies.js";
import {
  capacitySection,
  costSection,
  memorySection,
  speedSection,
  textsSection,
} from "./sections.js";
import { isGood, verdict } from "./verdict.js";

/**
 * The sections of a plan or a prediction, and the drawings among them (`picture`).
 *
 * `asked` are the arguments of the call, null where the answer's own words do. `again(tool,
 * changes)` asks with some of them changed; null where the page cannot ask.
 */
export function answerSections(answer, { asked, again }) {
  const drawings = [];
  const parts = [
    verdict(answer, asked),
    memorySection(memory(answer), drawings),
    capacitySection(capacity(answer), answer, drawings),
    speedSection(speed(answer), drawings),
    textsSection(texts(answer)),
    costSection(cost(answer), drawings),
    reasons(answer, again),
    settings(answer),
    command(answer),
  ].filter(Boolean);
  return { parts, drawings };
}

/** The colours of the parts of memory and of the speed, as rules of style. */
export function colours() {
  const rule = ({ field, light, dark }) =>
    `.fill-${field}{fill:light-dark(${light},${dark})}` +
    `.back-${field}{background:light-dark(${light},${dark})}`;
  const rest = ["unused", "outside", "others"].map((key) => ({ field: key, ...chart[key] }));
  const { light, dark } = chart.speed;
  const speed = `:root{--speed:light-dark(${light},${dark})}`;
  return [...chart.parts, ...rest].map(rule).concat(speed).join("\n");
}

function reasons(answer, again) {
  const { startup } = answer;
  const remedies = [
    ...changes(answer.remedies ?? [], again),
    ...changes(answer.alternatives ?? [], again),
    // A check's remedies are its failure's too.
    ...(answer.remedies ? [] : flags(startup?.failure?.remedies ?? [])),
  ];
  const warnings = [
    ...(answer.feasibility?.warnings ?? []),
    ...(startup?.warnings ?? []),
    ...(answer.performance?.warnings ?? []),
    ...(answer.warnings ?? []),
  ];
  const failure = startup?.failure?.message;
  const told = failure && answer.verdict.sentence.includes(failure.slice(1));
  const lists = [
    failure && !told && ["Why vLLM would not start", lines([failure])],
    remedies.length && ["What would help", remedies],
    warnings.length && ["Look out for", lines([...new Set(warnings)])],
    answer.next_steps?.length && ["Next", lines(answer.next_steps)],
  ].filter(Boolean);
  if (!lists.length) return null;
  return element(
    "section",
    {},
    ...lists.flatMap(([title, items]) => [
      element("h2", {}, title),
      element("ul", {}, ...items),
    ]),
  );
}

function settings(answer) {
  const reasons = Object.entries(answer.config?.explanations ?? {});
  if (!reasons.length) return null;
  const rows = reasons.map(([name, why]) => [
    [code(name)],
    String(answer.config[name] ?? ""),
    why,
  ]);
  const title = "Why these settings";
  return behind(title, table(title, ["Setting", "Value", "Reason"], rows, { prose: true }));
}

/** What to run; where it would not start as asked, the line that does, said to be one. */
function command(answer) {
  const { artifacts, command: line } = answer;
  const commands = artifacts?.node_commands ?? [artifacts?.serve_command ?? line].filter(Boolean);
  if (!commands.length) return null;
  const good = isGood(answer.verdict);
  const several = commands.length > 1 ? "Commands, one for each machine" : "Command";
  const title = good ? several : "Command with the first change that makes it start";
  return element("section", {}, element("h2", {}, title), ...commands.map(commandBlock));
}
