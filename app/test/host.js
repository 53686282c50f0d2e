// A host of MCP Apps with the official bridge: shows the page, plays a tool call to it and
// posts what the page sent to /event. The scenario is /scenario: {page, theme, input, result};
// with `answer` the host takes calls of tools, and answers each with it.

import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

// What a host allows a page that declares no origins.
const POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data:; connect-src 'none'";

const { page, theme, input, result, answer } = await (await fetch("/scenario")).json();
// One after the other, so that they arrive in order.
let noted = Promise.resolve();
const note = (event) => {
  const post = () => fetch("/event", { method: "POST", body: JSON.stringify(event) });
  noted = noted.then(post);
  return noted;
};
const drawn = () => new Promise((resolve) => setTimeout(resolve, 300));

document.documentElement.style.colorScheme = theme;
const frame = document.createElement("iframe");
frame.sandbox = "allow-scripts";
frame.style = "border: 0; width: 100%; height: 60px";
document.body.prepend(frame);

const bridge = new AppBridge(
  null,
  { name: "host", version: "1" },
  answer ? { serverTools: {} } : {},
  { hostContext: { theme, displayMode: "inline", platform: "web" } },
);
if (answer) {
  bridge.oncalltool = async (params) => {
    await note({ event: "called", name: params.name, arguments: params.arguments });
    return answer;
  };
}
bridge.onsizechange = ({ width, height }) => {
  note({ event: "size-changed", width, height });
  frame.style.height = `${height}px`;
};
bridge.oninitialized = async () => {
  note({ event: "initialized", app: bridge.getAppVersion() });
  await bridge.sendToolInput({ arguments: input });
  await bridge.sendToolResult(result);
  await drawn();
  await bridge.teardownResource({});
  await note({ event: "teardown answered" });
};
await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
frame.srcdoc = page.replace(
  "<head>",
  `<head><meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
);
