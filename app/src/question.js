// The question that the form holds: its fields, the form's values, and the link that holds it.

// Fields of the form by their names in the API; numbers are sent as numbers.
const NUMBERS = new Set([
  "gpus", "concurrency", "request_rate", "prompt_tokens", "gen_tokens", "max_model_len",
  "target_ttft_ms", "target_tpot_ms", "gpu_memory_utilization",
]);

/** What the form says, empty fields left out. */
export function read(form) {
  const question = {};
  for (const [name, text] of new FormData(form)) {
    const value = text.trim();
    if (value) question[name] = NUMBERS.has(name) ? number(value) : value;
  }
  return question;
}

/** A number as people write it: 32k, 4,096, 0.5; text that is none is left to the server. */
function number(text) {
  const found = /^([\d.,]+)\s*([kKmM]?)$/.exec(text);
  if (!found) return text;
  const scale = { "": 1, k: 1000, K: 1024, m: 1e6, M: 2 ** 20 }[found[2]];
  const value = Number(found[1].replaceAll(",", "")) * scale;
  return Number.isFinite(value) ? value : text;
}

/** Put a question into the form; fields it does not name become empty. */
export function write(form, question) {
  for (const field of form.elements) {
    if (field.name) field.value = question[field.name] ?? "";
  }
}

/** The whole question in the address, after its #. */
export function toLink(question) {
  return `#${new URLSearchParams(question)}`;
}

/** The question of an address; null without one. */
export function fromLink(hash) {
  const question = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
  return Object.keys(question).length ? question : null;
}

/** A question with a remedy's changes; null takes a field away. */
export function changed(question, changes) {
  const entries = Object.entries({ ...question, ...changes });
  return Object.fromEntries(entries.filter(([, value]) => value !== null));
}
