/** HTML from data: a template tag that escapes every value it is given. Nothing else in this room makes markup. Source: HTML Standard, "Parsing HTML documents"; OWASP cross-site scripting rules 1 and 2. */

/** Text that is markup already; only `html` makes it. */
class Html {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    return this.#text;
  }
}

export type { Html };

/** A value of a template: data (escaped), markup made by `html`, a list of either; undefined and false are nothing. */
export type Value = string | number | Html | undefined | false | readonly Value[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
/** Control characters but line feed and tab, and those that change the direction of the text around them. */
const UNSEEN = /[\p{Cc}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

/** Data as text of an element or of a quoted attribute. */
export function escapeText(data: string): string {
  return data
    .replace(UNSEEN, (found) => (found === '\n' || found === '\t' ? found : ''))
    .replace(/[&<>"']/g, (found) => ENTITIES[found] ?? '');
}

function rendered(value: Value): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.toString();
  if (typeof value === 'object') return value.map(rendered).join('');
  return escapeText(String(value));
}

/** Markup of a template: its own text as it stands, every value escaped. Attributes must be quoted in the template. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(parts.map((part, index) => `${part}${rendered(values[index])}`).join(''));
}

/** A link to the web when the address is one (http, https); its text alone otherwise. */
export function webLink(url: string, text: string): Html {
  const isWeb = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
  return isWeb ? html`<a href="${url}" rel="noreferrer">${text}</a>` : html`${text}`;
}

/** A table with a caption and heads for columns and rows; the first cell of a row is its head. Wide ones scroll by themselves and are reachable by keyboard. */
export function table(caption: string, heads: readonly Value[], rows: readonly (readonly Value[])[]): Html {
  const body = rows.map(
    ([first, ...cells]) => html`<tr><th scope="row">${first}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>
`,
  );
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table><caption>${caption}</caption>
<thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>
${body}</tbody></table></div>
`;
}

/** Terms with what they mean; an undefined meaning leaves its term out. */
export function facts(rows: readonly (readonly [term: string, meaning: Value])[]): Html {
  const shown = rows.filter(([, meaning]) => meaning !== undefined && meaning !== '' && meaning !== false);
  return html`<dl class="facts">${shown.map(
    ([term, meaning]) => html`<div><dt>${term}</dt><dd>${meaning}</dd></div>
`,
  )}</dl>
`;
}

export const list = (items: readonly Value[]): Html =>
  html`<ul>${items.map(
    (item) => html`<li>${item}</li>
`,
  )}</ul>
`;
