// The live page: a question in a form, its answer at once, and the link that holds both.

import { answerSections, colours } from "./answer.js";
import { ask, fetchJson, Refused, useToken } from "./client.js";
import { element } from "./element.js";
import { spoken } from "./fields.js";
import { fillForm, fitForm, putInto } from "./form.js";
import { fitAll } from "./parts.js";
import { changed, fromLink, read, request, toLink } from "./question.js";
import { saveButtons } from "./save.js";
import { cards, models, sideBySide } from "./tables.js";

// Between a key and the question it changes; shorter than anyone notices.
const PAUSE_MS = 10;
// A name that is still being typed is no question for the Hub, nor worth a refusal.
const TYPING_MS = 450;
// An answer that takes longer is said to be on its way.
const LATE_MS = 500;
const EXAMPLES = [
  ["What runs on an RTX 3090?", { gpu: "RTX 3090" }],
  ["Which GPU for Qwen3-32B and 16 users?", { model: "Qwen/Qwen3-32B", concurrency: 16 }],
  ["Llama 3.3 70B on two H100", { model: "meta-llama/Llama-3.3-70B-Instruct", gpu: "H100", gpus: 2 }],
];
const form = document.getElementById("question");
const status = document.getElementById("status");
const body = document.getElementById("answer");
const tokenForm = document.getElementById("token");
const NOTHING = { kind: "nothing", answer: null, plan: null, drawings: [] };
let waiting = 0;
let late = 0;
// When the question that is not answered yet was changed.
let changedAt = 0;
// The plan that was kept to compare with, and what is shown.
let kept = null;
let shown = NOTHING;
// Ids of the catalogue: the Hub is not asked for them.
let catalogued = new Set();

/** The question has changed: ask it, at once or when its name is written. */
function touched(pause) {
  changedAt = performance.now();
  body.setAttribute("aria-busy", "true");
  clearTimeout(waiting);
  waiting = setTimeout(update, pause);
}

async function update() {
  const question = read(form);
  const began = changedAt;
  const link = toLink(question);
  if (link !== location.hash) history.replaceState(null, "", link);
  fitForm(form, question);
  clearTimeout(late);
  late = setTimeout(() => tell("Working it out …", false), LATE_MS);
  try {
    const found = await answerTo(question);
    // A newer question is on its way.
    if (found === null || began !== changedAt) return;
    show(found);
    tell("", false);
    tokenForm.hidden = true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    await written();
    if (began !== changedAt) return;
    refuse(error);
  }
  clearTimeout(late);
  body.setAttribute("aria-busy", "false");
  body.dataset.kind = shown.kind;
  body.dataset.ms = String(Math.round(performance.now() - began));
}

/** What the page shows of a question: parts, drawings, answer; null when a newer one was asked. */
async function answerTo(question) {
  const asked = request(question);
  if (asked === null) return { ...NOTHING, parts: [welcome()] };
  const { path, body: sent, left } = asked;
  const answer = await ask(path, sent, stays(question));
  if (answer === null) return null;
  const { parts, drawings } = sectionsOf(path, answer);
  const plan = path === "plan" ? sent : null;
  return { kind: path, answer, plan, drawings, parts: [...parts, leftOut(left)] };
}

function sectionsOf(path, answer) {
  if (path === "compare") return cards(answer, take);
  if (path === "find-models") return models(answer, take);
  const { parts, drawings } = answerSections(answer, { asked: null, again });
  return { parts: [kept && sideBySide(kept, answer, forget), ...parts], drawings };
}

/** Whether the same question has the same answer while the server runs. */
function stays({ model, gpu }) {
  const named = gpu === undefined || !/^(auto|fleet:)/i.test(gpu);
  return named && (model === undefined || catalogued.has(model));
}

function show({ parts, ...rest }) {
  shown = rest;
  body.replaceChildren(...parts.filter(Boolean));
  fitAll(shown.drawings);
}

function welcome() {
  const links = EXAMPLES.map(([words, question]) =>
    element("li", {}, element("a", { href: toLink(question) }, words)),
  );
  return element(
    "section",
    {},
    element("h1", {}, "Name a model, a GPU, or both."),
    element("p", {}, "A model alone asks which GPU, a GPU alone which models. Such as:"),
    element("ul", {}, ...links),
  );
}

/** What the question says and this answer is not about. */
function leftOut(names) {
  if (!names.length) return null;
  const list = names.map(spoken).join(", ");
  return element("p", { class: "note" }, `Not part of this table: ${list}. A plan takes them.`);
}

/** A remedy of a plan, put into the form. */
function again(_tool, changes) {
  take(changes);
}

function take(changes) {
  put(changed(read(form), changes));
}

function put(question) {
  putInto(form, question, take);
  touched(0);
}

function forget() {
  kept = null;
  document.getElementById("compared")?.remove();
}

function tell(text, refused) {
  status.classList.toggle("refused", refused);
  status.textContent = text;
}

function refuse({ status: code, message }) {
  show({ ...NOTHING, kind: "refusal", parts: [element("h1", {}, "No answer")] });
  tell(message, true);
  tokenForm.hidden = code !== 401;
}

/** Once nobody types any more. */
function written() {
  const left = TYPING_MS - (performance.now() - changedAt);
  const typing = document.activeElement?.matches("input[list]");
  return new Promise((resolve) => setTimeout(resolve, typing ? left : 0));
}

/** Whether the Hub would be asked for what stands in the field of the model. */
function asksTheHub() {
  const model = form.elements.model.value.trim();
  return model.includes("/") && !/^[./~]/.test(model) && !catalogued.has(model);
}

function actions() {
  const button = (words, pressed) => {
    const made = element("button", { type: "button" }, words);
    made.addEventListener("click", pressed);
    return made;
  };
  const keep = button("Keep as A", () => {
    kept = shown.plan && shown.answer;
    tell(kept ? "Kept as A; change the question for B." : "There is no plan to keep.", !kept);
  });
  const link = button("Copy link", async () => {
    await navigator.clipboard?.writeText(location.href).catch(() => {});
    tell("The address holds the whole question.", false);
  });
  keep.id = "keep";
  const saving = saveButtons(() => ({ ...shown, question: read(form), body }), tell);
  return [
    element("div", { class: "actions" }, keep, link),
    element("p", { class: "caption" }, "Save"),
    saving,
  ];
}

async function offerNames() {
  const [known, listed] = await Promise.all([fetchJson("models"), fetchJson("gpus")]);
  catalogued = new Set(known.models);
  offer("models", known.models);
  offer("gpus", ["auto", ...listed.gpus.map((gpu) => gpu.name)]);
}

function offer(id, names) {
  const list = document.getElementById(id);
  list.replaceChildren(...names.map((name) => element("option", { value: name })));
}

function start() {
  touched(0);
  // Without names to choose from the page still answers.
  offerNames().catch((error) => {
    if (!(error instanceof Refused)) throw error;
  });
}

document.head.append(element("style", {}, colours()));
fillForm(form, actions(), take);
form.addEventListener("input", ({ target }) =>
  touched(target.name === "model" && asksTheHub() ? TYPING_MS : PAUSE_MS),
);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  touched(0);
});
tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(document.getElementById("secret").value);
  tokenForm.hidden = true;
  start();
});
window.addEventListener("resize", () => fitAll(shown.drawings));
window.addEventListener("hashchange", () => {
  const question = fromLink(location.hash);
  if (question && toLink(question) !== toLink(read(form))) put(question);
});
putInto(form, fromLink(location.hash) ?? {}, take);
start();
