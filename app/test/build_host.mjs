// Bundles the test host. usage: node build_host.mjs OUT.js

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

await build({
  entryPoints: [fileURLToPath(new URL("host.js", import.meta.url))],
  bundle: true,
  minify: true,
  outfile: process.argv[2],
  format: "esm",
  target: "es2022",
});
