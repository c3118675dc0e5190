/**
 * Refuses narrative that is not well-formed, limited XHTML; never cleans it. Source: narrative.html, constraint txt-1.
 * An empty div (txt-2) is let through: official examples have one, and refusing it would protect nobody.
 * One pass with its own scanner, linear in the length. Stricter than the standard where a browser reading HTML would see something else
 * than an XML parser: no CDATA, processing instruction or DOCTYPE, and comments hold no markup.
 */

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));
const ELEMENTS = words(
  'a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var',
);
const ATTRIBUTES = words(
  'abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel rev rowspan rules scope shape span src start style summary tabindex title type valign value vspace width xml:lang xml:space xmlns',
);
const ADDRESSES = words('cite href longdesc src');
const VOID = words('br col hr img');
const SCHEMES = words('http https mailto tel urn ftp');
const NAMESPACE = 'http://www.w3.org/1999/xhtml';
const DEPTH_LIMIT = 100;

const NAME = /[A-Za-z][A-Za-z0-9:]*/y;
const SPACES = /[ \t\r\n]*/y;
const ENTITY = /&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,8}));/y;
const XML_ENTITIES: ReadonlyMap<string, string> = new Map(
  Object.entries({ lt: '<', gt: '>', amp: '&', quot: '"', apos: "'", colon: ':', Tab: '\t', NewLine: '\n' }),
);
const IMAGE_DATA = /^data: ?image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*$/;
const STYLE_RISK = /expression|javascript|@import|behaviou?r|-moz-binding|\\|\/\*|</i;

/** Why a scan stops; caught in this file only. */
class Refusal extends Error {}
const refuse = (why: string): never => {
  throw new Refusal(why);
};

/** What is wrong with Narrative.div; undefined = nothing. The text names elements and attributes, never content. */
export function narrativeFault(div: string): string | undefined {
  try {
    new Scanner(div).document();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

class Scanner {
  readonly #text: string;
  #at = 0;
  readonly #open: string[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  /** One div with the XHTML namespace, nothing around it but white space. */
  document(): void {
    this.#match(SPACES);
    if (!this.#text.startsWith('<div', this.#at)) refuse('does not start with a div element');
    do this.#next();
    while (this.#open.length > 0);
    this.#match(SPACES);
    if (this.#at < this.#text.length) refuse('has content after its div element');
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  /** One tag or comment, and the character data after it. */
  #next(): void {
    const { length } = this.#open;
    if (this.#text.startsWith('<!--', this.#at)) this.#comment();
    else if (this.#text.startsWith('</', this.#at)) this.#endTag();
    else if (this.#text[this.#at] === '<') this.#startTag();
    else refuse('ends inside an element');
    if (this.#open.length > 0 || length === 0) this.#characters();
  }

  #characters(): void {
    if (this.#open.length === 0) return;
    const end = this.#text.indexOf('<', this.#at);
    if (end === -1) refuse('ends inside an element');
    const data = decoded(this.#text.slice(this.#at, end));
    if (data.includes(']]>')) refuse('holds `]]>`');
    this.#at = end;
  }

  #comment(): void {
    const end = this.#text.indexOf('-->', this.#at + 4);
    if (end === -1) refuse('has a comment without end');
    if (/[<>]|--/.test(this.#text.slice(this.#at + 4, end))) refuse('has a comment with markup inside');
    this.#at = end + 3;
  }

  #endTag(): void {
    this.#at += 2;
    const name = this.#match(NAME);
    this.#match(SPACES);
    if (this.#text[this.#at] !== '>' || this.#open.pop() !== name) refuse('has an end tag that closes no open element');
    this.#at++;
  }

  #startTag(): void {
    this.#at++;
    const name = this.#match(NAME);
    if (!ELEMENTS.has(name)) refuse('has an element that narrative does not allow');
    const attributes = this.#attributes();
    if (this.#open.length === 0 && attributes.get('xmlns') !== NAMESPACE) refuse('has no XHTML namespace on its div');
    if (attributes.has('xmlns') && attributes.get('xmlns') !== NAMESPACE) refuse('has another namespace than XHTML');
    if (this.#text.startsWith('/>', this.#at)) this.#at += 2;
    else if (this.#text[this.#at] !== '>') refuse('has a malformed tag');
    else {
      this.#at++;
      if (VOID.has(name) && !this.#text.startsWith(`</${name}>`, this.#at))
        refuse('has an empty element that is not closed');
      if (this.#open.push(name) > DEPTH_LIMIT) refuse(`nests more than ${DEPTH_LIMIT} elements`);
    }
  }

  #attributes(): ReadonlyMap<string, string> {
    const attributes = new Map<string, string>();
    for (;;) {
      const space = this.#match(SPACES);
      const name = this.#match(NAME);
      if (name === '') return attributes;
      if (space === '') refuse('has a malformed tag');
      if (!ATTRIBUTES.has(name)) refuse('has an attribute that narrative does not allow');
      if (attributes.has(name)) refuse('has an attribute twice');
      const value = this.#value();
      checkAttribute(name, value);
      attributes.set(name, value);
    }
  }

  #value(): string {
    this.#match(SPACES);
    if (this.#text[this.#at++] !== '=') refuse('has an attribute without value');
    this.#match(SPACES);
    const quote = this.#text[this.#at];
    if (quote !== '"' && quote !== "'") return refuse('has an attribute without quotes');
    const end = this.#text.indexOf(quote, this.#at + 1);
    if (end === -1) refuse('has an attribute without end');
    const raw = this.#text.slice(this.#at + 1, end);
    if (raw.includes('<')) refuse('has `<` in an attribute');
    this.#at = end + 1;
    return decoded(raw);
  }
}

function checkAttribute(name: string, value: string): void {
  if (name === 'style') checkStyle(value);
  else if (ADDRESSES.has(name)) checkAddress(value, name === 'src');
}

/** Style may name images, by the rules of `src`; nothing that runs, imports or hides behind escapes. */
function checkStyle(style: string): void {
  if (STYLE_RISK.test(style)) refuse('has a style that reaches outside');
  const parts = style.split(/url[ \t\r\n]*\(/i).slice(1);
  for (const part of parts) {
    const end = part.indexOf(')');
    if (end === -1) refuse('has a style that reaches outside');
    checkAddress(part.slice(0, end).replace(/["']/g, ''), true);
  }
}

function checkAddress(value: string, isImage: boolean): void {
  // Browsers skip control characters and white space when they look for the scheme.
  const scheme = /^([^/?#:]*):/.exec(value.replace(/[\u0000-\u0020\u007f-\u00a0\u2028\u2029]/g, ''))?.[1];
  if (scheme === undefined || SCHEMES.has(scheme.toLowerCase())) return;
  if (isImage && IMAGE_DATA.test(value)) return;
  refuse('has an address with a scheme that narrative does not allow');
}

/** Character data with its references replaced; named ones beyond XML's are kept as they are. */
function decoded(raw: string): string {
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(raw)) refuse('holds a control character');
  if (!raw.includes('&')) return raw;
  let result = '';
  let from = 0;
  for (let at = raw.indexOf('&'); at !== -1; at = raw.indexOf('&', from)) {
    ENTITY.lastIndex = at;
    const found = ENTITY.exec(raw);
    if (found === null) return refuse('has `&` that starts no character reference');
    result += raw.slice(from, at) + character(found);
    from = at + found[0].length;
  }
  return result + raw.slice(from);
}

function character([all, decimal, hexadecimal, name]: RegExpExecArray): string {
  if (name !== undefined) return XML_ENTITIES.get(name) ?? all;
  const code = decimal === undefined ? Number.parseInt(hexadecimal ?? '', 16) : Number(decimal);
  const legal =
    code === 9 || code === 10 || code === 13 || (code >= 32 && code < 0xd800) || (code > 0xdfff && code <= 0x10ffff);
  return legal ? String.fromCodePoint(code) : refuse('has a reference to a character that XML does not allow');
}
