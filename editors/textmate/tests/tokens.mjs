// A gate file as tokens, by the engine that VS Code uses.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const modules = process.env.CKU_TEXTMATE_MODULES;
if (!modules) throw new Error("run editors/textmate/test, which installs the engine");
const require = createRequire(join(modules, "package.json"));
const { Registry, INITIAL, parseRawGrammar } = require("vscode-textmate");
const oniguruma = require("vscode-oniguruma");

const SCOPE = "source.cku-gate";
export const FILE = new URL("../cku-gate.tmLanguage.json", import.meta.url);

async function load() {
  const wasm = readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm"));
  await oniguruma.loadWASM(wasm);
  const onigLib = Promise.resolve({
    createOnigScanner: (sources) => new oniguruma.OnigScanner(sources),
    createOnigString: (text) => new oniguruma.OnigString(text),
  });
  const loadGrammar = async () => parseRawGrammar(readFileSync(FILE, "utf8"), FILE.pathname);
  return new Registry({ onigLib, loadGrammar }).loadGrammar(SCOPE);
}

const grammar = await load();

/** Each line with its tokens: where they stand, and their scopes without the one of the file. */
export function tokenize(text) {
  let stack = INITIAL;
  return text.split("\n").map((line) => {
    const result = grammar.tokenizeLine(line, stack);
    stack = result.ruleStack;
    const tokens = result.tokens.map(({ startIndex, endIndex, scopes }) => ({
      start: startIndex,
      // The engine counts the end of the line as a character.
      end: Math.min(endIndex, line.length),
      scopes: scopes.slice(1).map((scope) => scope.replace(/\.cku-gate$/, "")),
    }));
    return { line, tokens: tokens.filter(({ start, end }) => start < end) };
  });
}
