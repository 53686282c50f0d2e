// Builds the pages into the server's package data: each one file, nothing to fetch.
// usage: node build.mjs [--check]   (--check: fail when the built page is not the committed one)

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PAGES = {
  page: { target: "plan.html", styles: ["page.css"] },
  live: { target: "live.html", styles: ["page.css", "live.css"] },
};
const LIBRARIES = ["d3-array", "d3-axis", "d3-color", "d3-format", "d3-interpolate", "d3-path",
  "d3-scale", "d3-selection", "d3-shape", "d3-time", "d3-time-format", "internmap"];

async function licences() {
  const notices = new Map();
  for (const name of LIBRARIES) {
    const text = (await readFile(here(`node_modules/${name}/LICENSE`), "utf-8")).trim();
    notices.set(text, [...(notices.get(text) ?? []), name]);
  }
  return [...notices].map(([text, names]) => `${names.join(", ")}:\n${text}`).join("\n\n");
}

async function page(name, styles) {
  const project = await readFile(here("../pyproject.toml"), "utf-8");
  const version = /^version = "(.+)"$/m.exec(project)[1];
  const script = await build({
    entryPoints: [here(`src/${name}.js`)],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2022",
    charset: "utf8",
    define: { VERSION: JSON.stringify(version) },
  });
  const sheets = await Promise.all(styles.map((sheet) => readFile(here(`src/${sheet}`), "utf-8")));
  const style = await transform(sheets.join("\n"), { loader: "css", minify: true });
  const code = script.outputFiles[0].text;
  if (/<\/script|<!--/i.test(code)) throw new Error("the script would end its own element");
  const html = await readFile(here(`src/${name}.html`), "utf-8");
  return html
    .replace("/*STYLE*/", () => style.code.trim())
    .replace("/*SCRIPT*/", () => `/*!\n${LIBRARIES_NOTE}${notice}\n*/\n${code.trim()}`);
}

const LIBRARIES_NOTE = "This page contains these libraries under their licences.\n\n";
const notice = await licences();
for (const [name, { target, styles }] of Object.entries(PAGES)) {
  const path = here(`../server/vllm_preflight_server/pages/app_page/${target}`);
  const built = await page(name, styles);
  if (process.argv.includes("--check")) {
    if ((await readFile(path, "utf-8").catch(() => "")) !== built) {
      console.error(`${target} is not what app/ builds; run: npm --prefix app run build`);
      process.exit(1);
    }
    console.log(`${target} is what app/ builds`);
  } else {
    await writeFile(path, built);
    console.log(`${path}: ${Buffer.byteLength(built).toLocaleString("en-US")} bytes`);
  }
}
