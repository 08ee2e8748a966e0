// Prints what the AsyncAPI parser has against the document on standard input, as a JSON list.
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { Parser } = createRequire(process.argv[2] + "/")("@asyncapi/parser");

new Parser().parse(readFileSync(0, "utf8")).then(({ document, diagnostics }) => {
  const found = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path }));
  const counts = document
    ? { channels: document.channels().length, operations: document.operations().length, messages: document.messages().length }
    : null;
  process.stdout.write(JSON.stringify({ counts, diagnostics: found }));
});
