// The buttons that save what is shown: picture, report, files, profile, JSON.

import { fetchFile, fetchJson, Refused } from "./client.js";
import { element } from "./element.js";
import { pictureOf, reportPage } from "./snapshot.js";

/** What cannot be saved, and why. */
export class NothingToSave extends Error {}

// What each button saves: its kind, how it is made, the end of the file's name.
const KINDS = {
  picture: ["Picture", savedPicture, ".png"],
  report: ["Report", savedReport, ".html"],
  files: ["Files", savedFiles, ".zip"],
  profile: ["Profile", savedProfile, ".profile.yaml"],
  json: ["JSON", savedJson, ".json"],
};

/**
 * The buttons. `shown()` says what stands on the page: {answer, question, plan, drawings, body};
 * `tell(sentence, refused)` is told what became of it.
 */
export function saveButtons(shown, tell) {
  const buttons = Object.entries(KINDS).map(([kind, [label, make, ending]]) => {
    const button = element("button", { type: "button", "data-save": kind }, label);
    button.addEventListener("click", async () => {
      try {
        const now = shown();
        if (!now.answer) throw new NothingToSave("There is no answer to save.");
        const name = `${nameOf(now.question)}${ending}`;
        download(name, await make(now));
        tell(`Saved ${name}.`, false);
      } catch (error) {
        if (!(error instanceof Refused || error instanceof NothingToSave)) throw error;
        tell(error.message, true);
      }
    });
    return button;
  });
  return element("div", { class: "actions", role: "group", "aria-label": "Save" }, ...buttons);
}

/** A file's name that says the question: Qwen3-32B-on-2x-H100. */
function nameOf({ model, gpu, gpus }) {
  const where = gpu && [gpus && `${gpus}x`, gpu].filter(Boolean).join("-");
  const words = [model?.split("/").at(-1) ?? "models", where && `on-${where}`];
  return words.filter(Boolean).join("-").replaceAll(/[^\w.-]+/g, "-").slice(0, 80);
}

async function savedPicture({ drawings, body }) {
  const texts = [...body.querySelectorAll(".asked, .summary, .chance, .because")];
  const head = body.querySelector("h1").textContent;
  const words = texts.map((node) => node.textContent.replaceAll(/\s+/g, " ").trim());
  const picture = await pictureOf(drawings, head, words);
  if (!picture) throw new NothingToSave("Nothing is drawn here; save the report or the JSON.");
  return picture;
}

function savedReport({ body, question }) {
  const day = new Date().toISOString().slice(0, 10);
  const asked = Object.entries(question).map(([name, value]) => `${name} ${value}`);
  const footer = `Asked on ${day} of vllm-preflight ${VERSION}: ${asked.join(", ")}.`;
  const text = reportPage(body, body.querySelector("h1").textContent, footer);
  return new Blob([text], { type: "text/html" });
}

function savedFiles({ plan }) {
  return fetchFile("generate.zip", planned(plan));
}

async function savedProfile({ plan }) {
  const { files } = await fetchJson("generate", { ...planned(plan), kinds: "profile" });
  return new Blob(Object.values(files), { type: "application/yaml" });
}

function planned(plan) {
  if (plan) return plan;
  throw new NothingToSave("Files and profiles are of a plan: choose a model and a GPU.");
}

function savedJson({ answer }) {
  return new Blob([JSON.stringify(answer, null, 2)], { type: "application/json" });
}

function download(name, blob) {
  const link = element("a", { download: name, href: URL.createObjectURL(blob) });
  link.click();
  // A browser may begin to read it after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
