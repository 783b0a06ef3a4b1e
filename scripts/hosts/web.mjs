// Runs one model in ONNX Runtime's WebAssembly build, as a browser would. Feeds are read and outputs are written as lines of JSON.
//
//   node web.mjs PACKAGES MODEL [EXTERNAL_DATA_FILE …]        PACKAGES is the folder that onnxruntime-web is installed in
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const arrays = { float32: Float32Array, float16: Uint16Array, int64: BigInt64Array, int32: Int32Array, bool: Uint8Array };
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

async function answer(work) {
  try {
    say(await work());
  } catch (e) {
    say({ error: String(e) });
  }
}

const [packages, model, ...external] = process.argv.slice(2);
const ort = createRequire(path.resolve(packages) + "/")("onnxruntime-web");
ort.env.wasm.numThreads = 1;
let session;
await answer(async () => {
  const externalData = external.map((name) => ({ path: name, data: fs.readFileSync(path.join(path.dirname(model), name)) }));
  session = await ort.InferenceSession.create(fs.readFileSync(model), { logSeverityLevel: 3, externalData });
  return {};
});
for await (const line of readline.createInterface({ input: process.stdin })) {
  await answer(async () => {
    const feeds = {};
    for (const [name, { type, shape, data }] of Object.entries(JSON.parse(line))) {
      feeds[name] = new ort.Tensor(type, new arrays[type](new Uint8Array(Buffer.from(data, "base64")).buffer), shape);
    }
    const outputs = {};
    for (const [name, { type, dims, data }] of Object.entries(await session.run(feeds))) {
      outputs[name] = { type, shape: dims, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
    }
    return { outputs };
  });
}
