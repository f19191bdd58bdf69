// A snapshot is a gate file with a line of letters below each of its lines: one for each character,
// for what it is coloured as.

import { tokenize } from "./tokens.mjs";

/** The innermost scope that begins so, and its letter. */
const LETTERS = [
  ["comment.line", "c"],
  ["constant.character.escape", "e"],
  ["variable.parameter", "p"],
  ["string.quoted", "s"],
  ["entity.name.function", "f"],
  ["entity.name.namespace", "d"],
  ["entity.name.section.mode", "m"],
  ["storage.type", "t"],
  ["storage.modifier", "l"],
  ["constant.language", "b"],
  ["keyword.other.unit", "u"],
  ["constant.numeric", "n"],
  ["keyword.control", "k"],
  ["keyword.operator", "o"],
  ["support.constant.flag", "x"],
  ["support.function.action", "a"],
  ["variable.other", "v"],
  ["punctuation", "."],
  ["invalid", "!"],
];

/** `?` where a character that says something has no scope. */
function letter(scopes, character) {
  for (const scope of [...scopes].reverse()) {
    // The marks of comments and texts are coloured as these.
    if (/^punctuation\.definition\./.test(scope)) continue;
    const found = LETTERS.find(([prefix]) => scope.startsWith(prefix));
    if (found) return found[1];
  }
  return /\s/.test(character) ? " " : "?";
}

/** Each line with its letters. */
export function paint(text) {
  return tokenize(text).map(({ line, tokens }) => {
    const letters = [...line].map(() => "?");
    const characters = line.split("");
    const painted = tokens.flatMap(({ start, end, scopes }) =>
      characters.slice(start, end).map((character) => letter(scopes, character)),
    );
    return { line, letters: (painted.length ? painted : letters).join("").trimEnd() };
  });
}

/** The text of a snapshot. */
export function written(painted) {
  const lines = painted.flatMap(({ line, letters }) => (line ? [`> ${line}`, `  ${letters}`] : [">"]));
  return lines.map((line) => line.trimEnd()).join("\n").replace(/\n>$/, "") + "\n";
}

/** What a snapshot says: the letters of each line, as often as the line is there. */
export function read(snapshot) {
  const said = new Map();
  const lines = snapshot.split("\n");
  for (const [at, line] of lines.entries()) {
    if (!line.startsWith("> ")) continue;
    const letters = (lines[at + 1] ?? "").slice(2);
    const text = line.slice(2);
    said.set(text, [...(said.get(text) ?? []), letters]);
  }
  return said;
}
