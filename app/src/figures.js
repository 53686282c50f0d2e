// What the pictures show, read from a structured answer of plan_deployment or predict_startup.

import chart from "../../server/vllm_preflight_server/pages/app_page/chart.json";

// Parts are rounded to hundredths; less than this between them is rounding.
const ROUNDING_GIB = 0.05;
const CACHE = "available_kv_cache_gib";

/**
 * The memory of one GPU in GiB: parts in the order they are stacked, the budget, the whole, the
 * 80 % interval of the KV cache, what is missing before its first byte, and what one GPU lacks
 * to start (each null when there is none); null when the answer has no figures.
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
  const free = answer.hardware.free_gib_per_gpu ?? visible;
  const unused = Math.min(budget, free) - total(inside);
  const parts = inside;
  const add = (key, gib) => {
    if (gib > ROUNDING_GIB) parts.push({ key, label: chart[key].label, gib });
  };
  add("unused", unused);
  parts.push(...after);
  const rest = visible - total(parts);
  const others = Math.min(visible - free, rest);
  add("outside", rest - others);
  add("others", others);
  const bounds = startup.interval?.[CACHE];
  const drawn = parts.some((part) => part.key === CACHE) && bounds && bounds[0] < bounds[1];
  return {
    parts,
    budget,
    visible,
    utilization,
    between: drawn ? bounds : null,
    short: caches && left <= 0 ? -left : null,
    missing: startup.failure?.missing_per_gpu_gib ?? null,
    // Where vLLM's memory ends: at its budget, or where others begin.
    reach: Math.min(budget, free),
  };
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

/** The texts per second of a model that pools, with its intervals; null without an estimate. */
export function texts(answer) {
  const estimate = answer.pooling;
  if (!estimate) return null;
  const figures = [
    ["Texts answered", "texts_per_s", "per second"],
    ["A text takes", "latency_ms", "ms"],
  ].map(([label, field, unit]) => {
    const [low, high] = estimate.interval[field];
    return { label, unit, value: estimate[field], low, high };
  });
  return { figures, flight: estimate.concurrency, tokens: estimate.prompt_tokens };
}

/**
 * What the GPUs cost: sentences, and the cost of a million generated tokens over the requests
 * that arrive a second, with the places worth naming, `of` which GPUs where there are several;
 * null without prices. A plan says it in `cost`, a comparison of its best option.
 */
export function cost(answer) {
  const told = answer.cost ?? ofBest(answer);
  if (!told?.sentences?.length) return null;
  const points = (told.by_load ?? []).map((at) => ({
    rate: at.requests_per_s,
    price: at.cost_per_million_tokens,
  }));
  // Machines cost the same whatever arrives: price times rate is one number along the curve.
  const product = points.length ? points[0].rate * points[0].price : 0;
  const place = (kind, price) => price && product && { kind, price, rate: product / price };
  const even = told.break_even_requests_per_s;
  return {
    currency: told.currency ?? null,
    of: told.of ?? null,
    sentences: told.sentences,
    points,
    marks: [
      place("asked", told.per_million_tokens),
      place("load", told.per_million_tokens_at_load),
    ].filter(Boolean),
    api: even && product ? { rate: even, price: product / even } : null,
  };
}

/** The best option's cost by the names that a plan gives them. */
function ofBest({ best, costs, currency }) {
  return (
    best && {
      of: `${best.gpus} × ${best.gpu}`,
      currency,
      sentences: costs ?? [],
      by_load: best.cost_by_load,
      per_million_tokens: best.cost_per_million_tokens,
      per_million_tokens_at_load: best.cost_per_million_tokens_at_load,
      break_even_requests_per_s: best.break_even_requests_per_s,
    }
  );
}

function total(parts) {
  return parts.reduce((sum, { gib }) => sum + gib, 0);
}
