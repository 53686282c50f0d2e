// Elements of the page, made of text and never of markup.

/** An element with children; strings become text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Words of a command, or the name of a setting. */
export function code(text) {
  return element("code", {}, text);
}
