// server.js MODEL.onnx - what a good engineer would serve in Node: its own http module and ONNX
// Runtime with one thread. /forward takes JSON, /forward-binary float32. Prints its port, and
// serves until it is ended. The packages come by NODE_PATH.
"use strict";
const http = require("node:http");
const ort = require("onnxruntime-node");

const options = { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: "sequential" };

async function run(session, data, rows) {
  const x = new ort.Tensor("float32", data, [rows, data.length / rows]);
  return (await session.run({ x })).y;
}

async function forward(session, body) {
  const { inputs } = JSON.parse(body);
  const y = await run(session, Float32Array.from(inputs.flat()), inputs.length);
  const columns = y.dims[1];
  const outputs = inputs.map((_, i) => Array.from(y.data.subarray(i * columns, (i + 1) * columns)));
  return JSON.stringify({ outputs });
}

async function forwardBinary(session, body) {
  // Its own buffer, since a small Buffer's bytes may lie at any place of a shared one.
  const data = new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.length));
  const y = await run(session, data, data.length / 784);
  return Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength);
}

const routes = {
  "/forward": ["application/json", forward],
  "/forward-binary": ["application/octet-stream", forwardBinary],
};

ort.InferenceSession.create(process.argv[2], options).then((session) => {
  const server = http.createServer((request, response) => {
    const [type, handler] = routes[request.url] ?? [];
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", async () => {
      try {
        const body = parts.length === 1 ? parts[0] : Buffer.concat(parts);
        const answer = await handler(session, body);
        response.writeHead(200, { "Content-Type": type, "Content-Length": Buffer.byteLength(answer) });
        response.end(answer);
      } catch (error) {
        response.writeHead(500, { "Content-Length": 0 });
        response.end();
      }
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
});
