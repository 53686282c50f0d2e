// What the pictures show, read from a structured answer of plan_deployment or predict_startup.

import chart from "../../server/vllm_preflight_server/pages/app_page/chart.json";

// Parts are rounded to hundredths; less than this between them is rounding.
const ROUNDING_GIB = 0.05;
const CACHE = "available_kv_cache_gib";

/**
 * The memory of one GPU in GiB: parts in the order they are stacked, the budget, the whole,
 * and what is missing before the first byte of KV cache (null when nothing is); null when the
 * answer has no figures (arguments refused).
 */
export function memory(answer) {
  const startup = answer.startup;
  if (startup?.weights_gib === undefined) return null;
  const visible = answer.hardware.visible_gib_per_gpu;
  const utilization = (answer.config ?? answer.arguments).gpu_memory_utilization;
  const budget = visible * utilization;
  const caches = startup.kv_cache_tokens !== undefined;
  const left = startup[CACHE] ?? 0;
  const charged = startup.cuda_graph_charged !== false;
  const inside = [];
  const after = [];
  for (const { field, label } of chart.parts) {
    const gib = startup[field] ?? 0;
    if (gib <= 0 || (field === CACHE && !caches)) continue;
    const graphs = field === "cuda_graph_gib" && !charged;
    const part = { key: field, label: graphs ? `${label} (outside the budget)` : label, gib };
    (graphs ? after : inside).push(part);
  }
  const used = total(inside);
  if (budget - used > ROUNDING_GIB) {
    inside.push({ key: "unused", label: chart.unused.label, gib: budget - used });
  }
  const parts = [...inside, ...after];
  const rest = visible - total(parts);
  if (rest > ROUNDING_GIB) parts.push({ key: "outside", label: chart.outside.label, gib: rest });
  return { parts, budget, visible, utilization, short: caches && left <= 0 ? -left : null };
}

/**
 * Where requests stop fitting: points of (tokens, requests) that the KV cache holds at
 * once, and the marks to set beside them; null when it holds none.
 */
export function capacity(answer) {
  const startup = answer.startup;
  const points = startup?.requests_by_length;
  if (!points?.length) return null;
  const marks = [];
  const sized = answer.feasibility;
  if (sized) {
    const replicas = answer.config.data_parallel_size ?? 1;
    const asked = Math.ceil(sized.concurrency / replicas);
    marks.push({ kind: "asked", tokens: sized.context_tokens, requests: asked });
    const most = Math.floor(sized.max_concurrency_at_context / replicas);
    if (most > 0) marks.push({ kind: "margin", tokens: sized.context_tokens, requests: most });
  } else if (startup.max_concurrency > 0) {
    const { max_model_len: tokens, max_concurrency: requests } = startup;
    marks.push({ kind: "full", tokens, requests });
  }
  return { points, marks, limit: startup.max_model_len, pool: startup.kv_cache_tokens };
}

/**
 * The estimated speed: figures with their 80 % intervals, and the points of its curve over
 * concurrency with what was asked among them (none in a concise answer); null without an
 * estimate.
 */
export function speed(answer) {
  const estimate = answer.performance;
  if (!estimate) return null;
  const figures = chart.speed.figures.map(({ field, label, unit }) => {
    const [low, high] = estimate.interval[field];
    return { label, unit, value: estimate[field], low, high };
  });
  const others = (estimate.curve ?? []).filter((at) => at.concurrency !== estimate.concurrency);
  const points = others.length ? [...others, estimate] : [];
  return {
    asked: estimate,
    figures,
    points: points.sort((one, other) => one.concurrency - other.concurrency),
    between: estimate.interval.output_tokens_per_s,
    target: estimate.target ?? null,
  };
}

function total(parts) {
  return parts.reduce((sum, { gib }) => sum + gib, 0);
}
