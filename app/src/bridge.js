// The page's side of MCP Apps (io.modelcontextprotocol/ui, 2026-01-26): JSON-RPC by postMessage.

const PROTOCOL = "2026-01-26";

/**
 * Join the host in the parent window.
 *
 * `handlers` has onInput(arguments), onResult(result), onCancelled() and onContext(context);
 * each is called for what the host sends, onContext also once at the start. Before it comes
 * onHost({takesCalls, call}): whether the host passes on calls of tools, and call(name,
 * arguments), which resolves with the result. The size is told after each, and whenever it
 * changes.
 */
export function connect(appInfo, handlers) {
  const host = window.parent;
  const send = (message) => host.postMessage({ jsonrpc: "2.0", ...message }, "*");
  const notices = {
    "ui/notifications/tool-input": (params) => handlers.onInput(params.arguments ?? {}),
    "ui/notifications/tool-result": (params) => handlers.onResult(params),
    "ui/notifications/tool-cancelled": () => handlers.onCancelled(),
    "ui/notifications/host-context-changed": (params) => handlers.onContext(params),
  };

  const tellSize = sizeTeller(send);
  // Calls under way by their ids; 0 is the page's first message.
  const calls = new Map();
  const call = (name, given) =>
    new Promise((resolve) => {
      const id = calls.size + 1;
      calls.set(id, resolve);
      send({ id, method: "tools/call", params: { name, arguments: given } });
    });

  window.addEventListener("message", ({ source, data }) => {
    if (source !== host || data?.jsonrpc !== "2.0") return;
    if (data.method === undefined) {
      if (data.id !== 0) {
        calls.get(data.id)?.(data.result ?? failed(data.error));
        tellSize();
        return;
      }
      if (data.result === undefined) return;
      handlers.onHost({ takesCalls: Boolean(data.result.hostCapabilities?.serverTools), call });
      handlers.onContext(data.result.hostContext ?? {});
      send({ method: "ui/notifications/initialized", params: {} });
      // A frame that is not drawn yet gets no observations.
      new ResizeObserver(tellSize).observe(document.body);
      tellSize();
    } else if (data.id === undefined) {
      notices[data.method]?.(data.params ?? {});
      tellSize();
    } else if (data.method === "ping" || data.method === "ui/resource-teardown") {
      send({ id: data.id, result: {} });
    } else {
      const error = { code: -32601, message: `This page does not answer ${data.method}.` };
      send({ id: data.id, error });
    }
  });
  send({
    id: 0,
    method: "ui/initialize",
    params: { appInfo, appCapabilities: {}, protocolVersion: PROTOCOL },
  });
}

/** A refusal of the host as the result of a call. */
function failed(error) {
  const text = error?.message ?? "The host gave no answer.";
  return { isError: true, content: [{ type: "text", text }] };
}

/** A function that sends the page's size where its height is not the last one sent. */
function sizeTeller(send) {
  let last = 0;
  return () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === last) return;
    last = height;
    const width = Math.ceil(document.documentElement.clientWidth);
    send({ method: "ui/notifications/size-changed", params: { width, height } });
  };
}
