// Asking the server: one question at a time, the newest wins, and what was answered is kept.

// Answers kept by their question, the oldest first.
const MOST_KEPT = 100;
const answers = new Map();
let running = null;
let token = sessionStorage.getItem("token");

/** A refusal of the server, with its sentence. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Use a token for this tab. */
export function useToken(text) {
  token = text;
  sessionStorage.setItem("token", text);
}

/**
 * The answer to a question; null when a newer one took its place. One that `stays` the same
 * while the server runs is asked once.
 */
export async function ask(path, question, stays) {
  running?.abort();
  const body = JSON.stringify(question);
  const key = `${path} ${body}`;
  if (stays && answers.has(key)) return answers.get(key);
  const mine = (running = new AbortController());
  try {
    const answer = await send(path, { body, signal: mine.signal });
    if (stays) keep(key, answer);
    return answer;
  } catch (error) {
    if (error.name === "AbortError") return null;
    throw error;
  } finally {
    if (running === mine) running = null;
  }
}

function keep(key, answer) {
  answers.set(key, answer);
  if (answers.size > MOST_KEPT) answers.delete(answers.keys().next().value);
}

/** An answer beside the questions of the form. */
export function fetchJson(path, question) {
  return send(path, question ? { body: JSON.stringify(question) } : {});
}

/** A file that answers a question. */
export function fetchFile(path, question) {
  return send(path, { body: JSON.stringify(question), file: true });
}

async function send(path, { body, signal, file = false }) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const broken = (error) => {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. Is vllm-preflight still running?");
  };
  const options = { method: body ? "POST" : "GET", body, headers, signal };
  const answer = await fetch(`api/${path}`, options).catch(broken);
  // An answer can be left, or lost, between its head and its body.
  if (answer.ok && file) return answer.blob().catch(broken);
  const content = parsed(await answer.text().catch(broken));
  if (answer.ok && content) return content;
  const said = content?.detail ?? content?.error ?? `The server says ${answer.status}.`;
  throw new Refused(answer.status, said);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
