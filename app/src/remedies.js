// What would help: each change with its command, and a button that asks again with it.

import { commandBlock } from "./copy.js";
import { code, element } from "./element.js";

/**
 * The changes of a plan, as list items. `ask(tool, changes)` asks again with some arguments
 * changed; null where the host takes no calls from a page.
 */
export function changes(items, ask) {
  return items.map((found) => {
    const item = { ...found, change: found.change ?? described(found.set) };
    const costs = item.gives_up ? ` Costs ${item.gives_up}.` : "";
    const commands = item.node_commands ?? (item.command ? [item.command] : []);
    return element(
      "li",
      {},
      code(item.change),
      item.effect ? ` – ${item.effect}.${costs} ` : " ",
      ask && item.set ? tryButton(item, ask) : null,
      ...commands.map(commandBlock),
    );
  });
}

/** The flags after which a launch starts, as list items. */
export function flags(items) {
  return items.map((text) => element("li", {}, code(text)));
}

/** Arguments to change, as people read them. */
function described(set) {
  return Object.entries(set)
    .map(([name, value]) => `${name} ${value ?? "not given"}`)
    .join(", ");
}

function tryButton({ tool, set, change }, ask) {
  const button = element("button", { type: "button", "aria-label": `Try it: ${change}` }, "Try it");
  button.addEventListener("click", () => ask(tool, set));
  return button;
}
