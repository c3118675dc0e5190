/** Elements from data. Text is always text: nothing here, or in any module of the sandbox, makes markup from a string. */

/**
 * An element with attributes and children. A string child is text.
 * @param {string} name
 * @param {Record<string, string | boolean | undefined>} [attributes] false and undefined leave an attribute out
 * @param {...(Node | string | undefined)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    made.setAttribute(attribute, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** A button that does something; it never submits. */
export function button(label, className, act) {
  const made = element('button', { type: 'button', class: className }, label);
  made.addEventListener('click', act);
  return made;
}

/** A link to the web in a new tab; its label alone when the address is no http(s) address. */
export function webLink(label, address) {
  const isWeb = URL.canParse(address) && /^https?:$/.test(new URL(address).protocol);
  if (!isWeb) return document.createTextNode(label);
  return element('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, label);
}

/** JSON as a scrollable block that the keyboard reaches. */
export function jsonBlock(label, value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return element('pre', { tabindex: '0', role: 'region', 'aria-label': label }, text);
}
