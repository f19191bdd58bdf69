// Annotated gate files: below a line, comments say what its parts are.
//
//   reject lint: when lint_errors > 0 because "no"
//   // <- keyword.control                the first character
//   //     ^^^^ entity.name.function     what stands above the carets; several scopes: all of them
//   //          ^ !invalid               none of its scopes begins so

import { tokenize } from "./tokens.mjs";

const MARK = /^\s*\/\/\s*(<-+|\^+)\s+(.*)$/;

/** What an annotated file says that is not so. */
export function differences(text) {
  const found = [];
  let said = 0;
  const lines = tokenize(text);
  let above = lines[0];
  for (const [at, current] of lines.entries()) {
    const mark = MARK.exec(current.line);
    if (!mark) {
      if (current.line.trim()) above = current;
      continue;
    }
    said += 1;
    const [, carets, wanted] = mark;
    const first = above.line.search(/\S/);
    const start = carets.startsWith("<") ? first : current.line.indexOf("^");
    const end = carets.startsWith("<") ? first + carets.length - 1 : start + carets.length;
    for (let column = start; column < end; column++) {
      const token = above.tokens.find((token) => token.start <= column && column < token.end);
      const scopes = token?.scopes ?? [];
      for (const scope of wanted.trim().split(/\s+/)) {
        const has = (name) => scopes.some((s) => s === name || s.startsWith(`${name}.`));
        if (scope.startsWith("!") ? has(scope.slice(1)) : !has(scope)) {
          const character = above.line[column] ?? "nothing";
          found.push(`line ${at + 1}: \`${character}\` is ${scopes.join(" ") || "nothing"}, not ${scope}`);
          break;
        }
      }
    }
  }
  if (said === 0) found.push("it says nothing");
  return found;
}
