// Asking the server: one question at a time, the newest wins.

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

/** The answer to a question; null when a newer one took its place. */
export async function ask(path, question) {
  running?.abort();
  const mine = (running = new AbortController());
  try {
    return await send(path, { method: "POST", body: JSON.stringify(question), signal: mine.signal });
  } catch (error) {
    if (error.name === "AbortError") return null;
    throw error;
  } finally {
    if (running === mine) running = null;
  }
}

/** An answer beside the questions of the form. */
export function fetchJson(path, question) {
  return send(path, question ? { method: "POST", body: JSON.stringify(question) } : {});
}

async function send(path, options) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const broken = (error) => {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. Is vllm-preflight still running?");
  };
  const answer = await fetch(`api/${path}`, { ...options, headers }).catch(broken);
  // An answer can be left, or lost, between its head and its body.
  const body = parsed(await answer.text().catch(broken));
  if (answer.ok && body) return body;
  throw new Refused(answer.status, body?.detail ?? body?.error ?? `The server says ${answer.status}.`);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
