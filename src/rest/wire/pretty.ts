/** `_pretty=true` on text: indents JSON without parsing it, so every lexeme stays. Source: http.html#parameters. */

const INDENT = '  ';

/** Index after the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (index < text.length && text[index] !== '"') index += text[index] === '\\' ? 2 : 1;
  return index + 1;
}

/** @param text well-formed JSON */
export function prettyText(text: string): string {
  const out: string[] = [];
  let depth = 0;
  const line = (): string => `\n${INDENT.repeat(depth)}`;
  for (let index = 0; index < text.length; index++) {
    const char = text[index] ?? '';
    if (char === '"') {
      const end = endOfString(text, index);
      out.push(text.slice(index, end));
      index = end - 1;
    } else if (char === '{' || char === '[') {
      depth++;
      out.push(char, line());
    } else if (char === '}' || char === ']') {
      depth--;
      out.push(line(), char);
    } else if (char === ',') out.push(char, line());
    else if (char === ':') out.push(': ');
    else if (char > ' ') out.push(char);
  }
  return out.join('');
}
