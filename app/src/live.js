// The live page: a question in a form, its answer at once, and the link that holds both.

import { answerSections, colours } from "./answer.js";
import { ask, fetchJson, Refused, useToken } from "./client.js";
import { element } from "./element.js";
import { changed, fromLink, read, toLink, write } from "./question.js";
import { cards, models, sideBySide } from "./tables.js";

// Between a key and the question it changes; shorter than anyone notices.
const PAUSE_MS = 40;
const form = document.getElementById("question");
const status = document.getElementById("status");
const answer = document.getElementById("answer");
const tokenForm = document.getElementById("token");
let redraw = () => {};
let waiting = 0;
// The plan that was kept to compare with, and the one that is shown.
let kept = null;
let shown = null;

async function update() {
  const question = read(form);
  history.replaceState(null, "", toLink(question));
  const began = performance.now();
  answer.setAttribute("aria-busy", "true");
  try {
    const drawn = await draw(question);
    // A newer question is on its way.
    if (drawn === null) return;
    answer.replaceChildren(...drawn.filter(Boolean));
    redraw();
    tell("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(error);
  }
  answer.setAttribute("aria-busy", "false");
  answer.dataset.ms = String(Math.round(performance.now() - began));
  answer.dataset.asked = JSON.stringify(question);
}

/** The parts of the page that answer a question; null when a newer one was asked. */
async function draw(question) {
  const { model, gpu, gpus, ...workload } = question;
  redraw = () => {};
  if (!gpu && !model) {
    return remember(null, [element("h1", {}, "Name a model, a GPU, or both.")]);
  }
  if (!gpu) {
    const found = await ask("compare", { model, ...known(workload, COMPARED), max_gpus: gpus });
    return found && remember(null, [cards(found, take)]);
  }
  if (!model) {
    const found = await ask("find-models", { gpu, gpus, ...known(workload, FOUND) });
    return found && remember(null, [models(found, take)]);
  }
  const found = await ask("plan", question);
  if (!found) return null;
  const sections = answerSections(found, { asked: null, again });
  redraw = sections.redraw;
  return remember(found, [kept && sideBySide(kept, found), ...sections.parts]);
}

const COMPARED = [
  "concurrency", "request_rate", "prompt_tokens", "gen_tokens", "max_model_len", "quantization",
  "kv_cache_dtype", "vllm_version",
];
const FOUND = ["concurrency", "prompt_tokens", "gen_tokens", "max_model_len", "vllm_version"];

function known(question, names) {
  return Object.fromEntries(Object.entries(question).filter(([name]) => names.includes(name)));
}

function remember(plan, parts) {
  shown = plan;
  return parts;
}

/** A remedy of a plan, put into the form. */
function again(_tool, changes) {
  take(changes);
}

function take(changes) {
  write(form, changed(read(form), changes));
  update();
}

function tell(text) {
  status.classList.remove("refused");
  status.textContent = text;
}

function refuse({ status: code, message }) {
  answer.replaceChildren(element("h1", {}, "No answer"));
  shown = null;
  tell(message);
  status.classList.add("refused");
  tokenForm.hidden = code !== 401;
}

function save(name, text, kind) {
  const link = element("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: kind })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

document.head.append(element("style", {}, colours()));
form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(update, PAUSE_MS);
});
form.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("keep").addEventListener("click", () => {
  kept = shown;
  tell(kept ? "Kept as A; change the question for B." : "There is no plan to keep.");
});
document.getElementById("link").addEventListener("click", async () => {
  await navigator.clipboard?.writeText(location.href).catch(() => {});
  tell("The address holds the whole question.");
});
document.getElementById("json").addEventListener("click", () => {
  if (shown) save("plan.json", JSON.stringify(shown, null, 2), "application/json");
});
document.getElementById("files").addEventListener("click", async () => {
  try {
    const made = await fetchJson("generate", read(form));
    for (const [name, text] of Object.entries(made.files)) save(name, text, "text/plain");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.message);
    status.classList.add("refused");
  }
});
tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(document.getElementById("secret").value);
  tokenForm.hidden = true;
  start();
});
window.addEventListener("resize", () => redraw());
window.addEventListener("hashchange", () => {
  const question = fromLink(location.hash);
  if (question && toLink(question) !== toLink(read(form))) {
    write(form, question);
    update();
  }
});

async function start() {
  try {
    const [known, listed] = await Promise.all([fetchJson("models"), fetchJson("gpus")]);
    offer("models", known.models);
    offer("gpus", ["auto", ...listed.gpus.map((gpu) => gpu.name)]);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(error);
    return;
  }
  update();
}

function offer(id, names) {
  const list = document.getElementById(id);
  list.replaceChildren(...names.map((name) => element("option", { value: name })));
}

write(form, fromLink(location.hash) ?? {});
start();
