#!/usr/bin/env node
// Starts the program for this system. If onnxruntime-node is installed beside this package, the program loads that library.
"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const system = `${process.platform}-${process.arch}`;
const program = path.join(__dirname, "bin", system, process.platform === "win32" ? "onnx-inject.exe" : "onnx-inject");
if (!fs.existsSync(program)) {
  console.error(`onnx-inject: want a program for ${system}, got ${fs.readdirSync(path.join(__dirname, "bin")).join(", ")}`);
  console.error("onnx-inject: hint: build it from the source: make install");
  process.exit(3);
}

// Only packages that this one can import are searched, never the current folder: a library runs its code when it is loaded.
function library() {
  try {
    const bin = path.join(path.dirname(require.resolve("onnxruntime-node/package.json")), "bin");
    for (const api of fs.readdirSync(bin)) {
      const folder = path.join(bin, api, process.platform, process.arch);
      const name = fs.existsSync(folder) && fs.readdirSync(folder).find((f) => /^(lib)?onnxruntime\.(so|dll|1\.dylib)/.test(f));
      if (name) return path.join(folder, name);
    }
  } catch (e) {
    if (e.code !== "MODULE_NOT_FOUND") throw e;
  }
}

const env = { ...process.env };
const found = library();
if (found) env.ONNX_INJECT_PACKAGE_ORT = found;
if (process.env.npm_command === "exec") env.ONNX_INJECT_COMMAND = "npx onnx-inject";

const child = spawn(program, process.argv.slice(2), { stdio: "inherit", env, argv0: process.argv[1] });
process.on("SIGINT", () => {}); // a terminal sends it to the program too, which decides
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("error", (e) => {
  console.error(`onnx-inject: ${e.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(signal ? 128 + os.constants.signals[signal] : code));
