// The commonest changes of a question, in a host that takes calls: the tool is called again.

import { element } from "./element.js";
import { field } from "./fields.js";
import { read, write } from "./question.js";

const PLAN = "plan_deployment";
const STARTUP = "predict_startup";
const CHANGED = {
  [PLAN]: ["gpu", "gpus", "concurrency", "prompt_tokens", "gen_tokens", "max_model_len", "kv_cache_dtype"],
  [STARTUP]: ["gpu", "gpus", "max_model_len", "kv_cache_dtype", "vllm_version"],
};
// Of a launch that is written out, the line says the rest.
const BESIDE_COMMAND = ["gpu", "vllm_version"];

/**
 * Show in `holder` a form with what was `asked`; `again(tool, changes)` is called where a value
 * is changed, null for one that is taken away. The same form stays while its controls do, and
 * with it the focus.
 */
export function fitControls(holder, answer, asked, again) {
  // A prediction has no workload.
  const tool = answer.feasibility ? PLAN : STARTUP;
  const names = asked.command ? BESIDE_COMMAND : CHANGED[tool];
  if (holder.dataset.names !== names.join()) {
    holder.dataset.names = names.join();
    holder.replaceChildren(controls(tool, names, again));
  }
  write(holder.firstChild, asked);
}

function controls(tool, names, again) {
  const form = element("form", { class: "controls", "aria-label": "Change the question" });
  form.append(...names.map((name) => field(name)));
  form.addEventListener("submit", (event) => event.preventDefault());
  // A host may show each call, so half a number is no question.
  form.addEventListener("change", ({ target }) =>
    again(tool, { [target.name]: read(form)[target.name] ?? null }),
  );
  return form;
}
