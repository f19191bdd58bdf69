import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { differences } from "./annotated.mjs";
import { paint, read, written } from "./paint.mjs";
import { FILE, tokenize } from "./tokens.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const repository = join(here, "../../..");
const snapshots = join(here, "snapshots");
const updating = process.env.CKU_UPDATE_SNAPSHOTS === "1";

function gateFiles(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".gate"))
    .map((path) => join(folder, path))
    .sort();
}

const shipped = gateFiles(join(repository, "policies"));
const named = (file) => relative(repository, file).replaceAll("\\", "/");

test("there are gate files to test with", () => {
  const names = shipped.map(named);
  for (const bundle of ["baseline", "examples/minimal", "examples/coding-agent", "examples/release-train"]) {
    assert.ok(names.some((name) => name.startsWith(`policies/${bundle}/`)), bundle);
  }
});

for (const file of gateFiles(join(here, "annotated"))) {
  test(`what ${relative(here, file)} says is so`, () => {
    assert.deepEqual(differences(readFileSync(file, "utf8")), []);
  });
}

for (const file of shipped) {
  const name = named(file);
  const painted = paint(readFileSync(file, "utf8"));

  test(`everything in ${name} is something, and nothing is wrong`, () => {
    const odd = painted.filter(({ letters }) => /[?!]/.test(letters));
    assert.deepEqual(odd, []);
  });

  // A line that somebody changed is not a mistake of the grammar: only lines that the snapshot knows
  // are compared, so that no change of a policy has to touch this folder.
  test(`${name} is coloured as in its snapshot`, (t) => {
    const path = join(snapshots, `${name.replace(/^policies\//, "").replaceAll("/", "__")}.txt`);
    if (updating) {
      mkdirSync(snapshots, { recursive: true });
      writeFileSync(path, written(painted));
    }
    assert.ok(existsSync(path), "it has none; run editors/textmate/test --update, and look at it");
    const said = read(readFileSync(path, "utf8"));
    const known = painted.filter(({ line }) => said.has(line));
    const different = known.filter(({ line, letters }) => !said.get(line).includes(letters));
    assert.deepEqual(different, []);
    const changed = painted.filter(({ line }) => line !== "" && !said.has(line)).length;
    if (changed > 0) t.diagnostic(`${changed} lines are not in the snapshot: editors/textmate/test --update`);
    assert.ok(known.some(({ line }) => line !== ""), "no line is as in the snapshot");
  });
}

test("every snapshot has its file", () => {
  const kept = readdirSync(snapshots);
  const wanted = shipped.map((file) => `${named(file).replace(/^policies\//, "").replaceAll("/", "__")}.txt`);
  assert.deepEqual(kept.filter((name) => !wanted.includes(name)), []);
});

test("every word of the language is in the grammar", () => {
  const pest = readFileSync(join(repository, "lang/tests/grammar/grammar.pest"), "utf8");
  const words = [...pest.matchAll(/@\{ "([a-z]+)" ~ !name_char \}/g)].map(([, word]) => word);
  assert.ok(words.length > 30, `only ${words.length} words found`);
  const grammar = readFileSync(FILE, "utf8");
  const patterns = [...grammar.matchAll(/"(?:begin|match|end)": "((?:[^"\\]|\\.)*)"/g)].map(([, p]) => p);
  const written = new Set(patterns.flatMap((pattern) => pattern.match(/[a-z]+/g) ?? []));
  assert.deepEqual(words.filter((word) => !written.has(word)), []);
});

/** Texts, comments, numbers with their units, paths and actions, words, signs. */
const TOKEN =
  /"(?:\\.|[^"\\])*"|\/\/.*|[0-9]+(?:\.[0-9]+)?(?:[ \t]+(?:%|[A-Z]{3}\b(?!\s*=(?!=)))|%|[A-Za-z_]\w*)?|[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)*|\.\.|[=!<>]=|\S/g;

/** Each token with its letters. */
function letters(text) {
  return paint(text).flatMap(({ line, letters }) =>
    [...line.matchAll(TOKEN)].map(({ 0: token, index }) => [token, letters.slice(index, index + token.length)]),
  );
}

test("a token is the same on a line of its own with a comment behind it", () => {
  for (const file of shipped) {
    const together = letters(readFileSync(file, "utf8")).filter(([token]) => !token.startsWith("//"));
    const comment = '// gate "x" { in: y } 5 EUR, missing reject';
    const apart = letters(together.map(([token]) => `${token} ${comment}\n`).join(""));
    assert.deepEqual(apart.filter(([token]) => token !== comment), together, named(file));
    const comments = apart.filter(([token]) => token === comment);
    assert.equal(comments.length, together.length);
    assert.ok(comments.every(([, letters]) => /^c+$/.test(letters)), named(file));
  }
});

test("a text is its tokens, whatever is in it", () => {
  const odd = ['gate "', "mode {", "gate a \"A\" { reject", "}}}", '"\\', "in in in {", "gate a \"A\" { missing }\n}\ngate b"];
  for (const text of [...odd, ...shipped.map((file) => readFileSync(file, "utf8"))]) {
    for (const { line, tokens } of tokenize(text)) {
      assert.equal(tokens.map(({ start, end }) => line.slice(start, end)).join(""), line);
    }
  }
});
