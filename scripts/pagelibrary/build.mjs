// build.mjs MODULES OUT: bundles what the pages use of Observable Plot into OUT/plot.min.js, the global Plot, and writes what it
// contains: OUT/packages.txt, and the licence of each package in OUT/licences/NAME.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const [modules, out] = process.argv.slice(2).map((p) => path.resolve(p));
const { build } = createRequire(modules + "/")("esbuild");

const marks = "plot, cell, dot, gridX, gridY, lineY, link, rectY, ruleX, ruleY, axisX, axisY, binX";
const { metafile, outputFiles } = await build({
  stdin: { contents: `export { ${marks} } from "@observablehq/plot";`, resolveDir: path.dirname(modules) },
  nodePaths: [modules], absWorkingDir: modules, bundle: true, minify: true, format: "iife", globalName: "Plot", charset: "utf8",
  legalComments: "none", target: "es2020", metafile: true, write: false, outfile: "plot.min.js",
});

const packages = new Set();
for (const [file, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0].inputs)) {
  if (bytesInOutput === 0 || file === "<stdin>") continue;
  const parts = file.split("node_modules/").at(-1).split("/");
  packages.add(parts.slice(0, parts[0].startsWith("@") ? 2 : 1).join("/"));
}

fs.rmSync(out, { recursive: true, force: true });
const lines = [];
const notices = new Map(); // the copyright lines of each text of a licence
for (const name of [...packages].sort()) {
  const from = path.join(modules, name);
  const texts = fs.readdirSync(from).filter((f) => /^(licen[cs]e|copying|notice)/i.test(f));
  if (texts.length === 0) throw new Error(`${name}: no file with a licence`);
  fs.mkdirSync(path.join(out, "licences", name), { recursive: true });
  for (const f of texts) {
    fs.copyFileSync(path.join(from, f), path.join(out, "licences", name, f));
    const [, copyright, text] = /^(.*?)\n\n(.*)$/s.exec(fs.readFileSync(path.join(from, f), "utf8").trim());
    const key = text.replace(/\s+/g, " ");
    if (!notices.has(key)) notices.set(key, { text, of: new Set() });
    notices.get(key).of.add(`${name}: ${copyright}`);
  }
  lines.push(`${name} v${JSON.parse(fs.readFileSync(path.join(from, "package.json"))).version}\n`);
}
fs.writeFileSync(path.join(out, "packages.txt"), lines.join(""));
// A page is a copy of the library, so the notices go with it.
const banner = `/*!\n${[...notices.values()].map(({ text, of }) => `${[...of].join("\n")}\n\n${text}\n`).join("\n")}*/\n`;
const script = banner + outputFiles[0].text;
fs.writeFileSync(path.join(out, "plot.min.js"), script);
console.log(`plot.min.js: ${Buffer.byteLength(script)} bytes of ${packages.size} packages`);
