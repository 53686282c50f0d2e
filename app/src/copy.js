// A command with a button that copies it.

import { element } from "./element.js";

const SHOWN_MS = 1500;

/** A command as it is typed, with its button. */
export function commandBlock(text) {
  // A line may end between arguments, not inside one at its hyphens.
  const words = text.split(" ").flatMap((word) => [element("span", {}, word), " "]);
  const line = element("code", {}, ...words);
  const button = element("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text, line)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), SHOWN_MS);
  });
  return element("div", { class: "command" }, element("pre", { tabindex: "0" }, line), button);
}

/** Whether the text is on the clipboard; where no page may write there, it is selected. */
async function copied(text, line) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(line);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }
}
