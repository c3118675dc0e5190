/** Debian's or Google's Chromium as the tests' browser, when one is on the PATH. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const found = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find((path) => existsSync(path));

/** For `test(..., { skip })`: why there is no browser, or false. */
export const NO_BROWSER: string | false =
  found === undefined ? `no browser: none of ${NAMES.join(', ')} is on the PATH` : false;

export function openBrowser(): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath: found ?? '', args });
}

export interface Watched {
  readonly page: Page;
  /** Console errors, page errors, refusals by the policy, requests to elsewhere: all that must not happen. */
  readonly faults: string[];
}

/** A page that notes everything that goes wrong on it, and on what it opens. @param origin the only one that may be asked */
export async function watchedPage(
  browser: Browser,
  origin: string,
  colorScheme: 'light' | 'dark' = 'light',
): Promise<Watched> {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1200, height: 900 } });
  const faults: string[] = [];
  context.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(`console: ${message.text()}`);
  });
  context.on('weberror', (error) => faults.push(`page: ${error.error().message}`));
  context.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`request: ${request.url()}`);
  });
  await context.addInitScript(
    "addEventListener('securitypolicyviolation', (event) => console.error('policy: ' + event.violatedDirective))",
  );
  return { page: await context.newPage(), faults };
}

/** Presses Tab until the element has the focus; @throws Error when it is not reached within 200 presses */
export async function tabTo(page: Page, selector: string): Promise<void> {
  for (let presses = 0; presses < 200; presses++) {
    if (await page.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)}) ?? false`)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`${selector} is not reached by Tab`);
}

/** Texts whose contrast with what is behind them is below 4.5:1 (WCAG 2.2, 1.4.3; disabled controls are exempt). */
export function lowContrast(page: Page): Promise<readonly string[]> {
  return page.evaluate(CONTRAST);
}
const CONTRAST = `(() => {
  const numbers = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((channel) => light(channel / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('h1,h2,h3,p,li,dt,dd,th,td,a,summary,button,label,caption,figcaption,span,code,pre')];
  return texts
    .filter((node) => !node.disabled && node.checkVisibility() && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== ''))
    .flatMap((node) => {
      const [one, other] = [luminance(numbers(getComputedStyle(node).color)), luminance(behind(node))];
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      return contrast < 4.5 ? [node.tagName + ' ' + node.textContent.trim().slice(0, 40) + ' ' + contrast.toFixed(2)] : [];
    });
})()`;
