/** A card as an EHR shows it: indicator in words and colour, summary, detail, source, links, suggestions with what they would change, reasons to override. */
import { button, element, jsonBlock, webLink } from './dom.js';
import { read, sendFeedback } from './hooks.js';
import { markdown } from './markdown.js';

const WORDS = { info: 'Information', warning: 'Warning', critical: 'Critical' };
let made = 0;

/**
 * @param card as received
 * @param service id of the service that sent it
 * @param act `apply(action)` changes the drafts; `log(answer)` shows a call
 */
export function cardView(card, service, act) {
  const id = `card-${++made}`;
  const indicator = Object.hasOwn(WORDS, card.indicator) ? card.indicator : 'info';
  const outcome = element('p', { class: 'outcome', role: 'status' });
  const send = (item) => feedback(card, service, item, outcome, act);
  return element(
    'article',
    { class: `card ${indicator}`, 'aria-labelledby': id, 'data-service': service },
    element('p', { class: `word ${indicator}` }, WORDS[indicator]),
    element('h3', { id }, card.summary),
    element('p', { class: 'source' }, 'Source: ', sourceOf(card), ` (${service})`),
    detailOf(card, indicator),
    suggestionsOf(card, act, send),
    linksOf(card),
    overrideOf(card, id, send),
    outcome,
  );
}

const sourceOf = ({ source }) => (source.url === undefined ? source.label : webLink(source.label, source.url));

function detailOf({ detail }, indicator) {
  if (detail === undefined) return undefined;
  return element('details', { open: indicator === 'critical' }, element('summary', {}, 'Detail'), markdown(detail));
}

function linksOf({ links = [] }) {
  if (links.length === 0) return undefined;
  const [first, ...others] = links.map(({ label, url }) => webLink(label, url));
  const more = element(
    'details',
    {},
    element('summary', {}, `${others.length} more link${others.length === 1 ? '' : 's'}`),
  );
  more.append(element('ul', {}, ...others.map((link) => element('li', {}, link))));
  return element('div', { class: 'links' }, element('p', {}, first), others.length === 0 ? undefined : more);
}

function suggestionsOf({ suggestions = [] }, act, send) {
  if (suggestions.length === 0) return undefined;
  const items = suggestions.map((suggestion) => {
    const { label, uuid, actions = [], isRecommended } = suggestion;
    const accept = button(`Accept: ${label}`, 'plain', async () => {
      accept.disabled = true;
      for (const action of actions) act.apply(action);
      await send({ outcome: 'accepted', acceptedSuggestions: [{ id: uuid }] });
    });
    const changes = element('ul', {}, ...actions.map(changeOf));
    const what = element('details', {}, element('summary', {}, 'What it would change'), changes);
    return element('li', {}, accept, isRecommended === true ? ' recommended' : undefined, what);
  });
  return element('ul', { class: 'suggestions', 'aria-label': 'Suggestions' }, ...items);
}

function changeOf({ type, description, resourceId, resource }) {
  const item = element('li', {}, element('strong', {}, type), ` ${description}`);
  if (resourceId !== undefined) item.append(' ', element('code', {}, resourceId));
  if (resource !== undefined) item.append(jsonBlock('Resource of the action', resource));
  return item;
}

/** Reasons of the card, in its order; a comment is free. */
function overrideOf({ overrideReasons = [] }, id, send) {
  const options = overrideReasons.map(({ display }, index) => element('option', { value: String(index) }, display));
  const reason = element('select', { id: `${id}-reason` }, element('option', { value: '' }, 'No reason'), ...options);
  const comment = element('textarea', { id: `${id}-comment`, rows: '2' });
  const form = element(
    'form',
    { class: 'override' },
    element('label', { for: `${id}-reason` }, 'Reason'),
    reason,
    element('label', { for: `${id}-comment` }, 'Comment'),
    comment,
    element('button', { type: 'submit', class: 'plain' }, 'Override this card'),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const chosen = reason.value === '' ? undefined : overrideReasons[Number(reason.value)];
    const userComment = comment.value.trim();
    const given = { ...(chosen && { reason: chosen }), ...(userComment !== '' && { userComment }) };
    send({ outcome: 'overridden', ...(Object.keys(given).length > 0 && { overrideReason: given }) });
  });
  return element('details', { class: 'overriding' }, element('summary', {}, 'Override'), form);
}

/** Sends one item and shows it as it is stored. */
async function feedback(card, service, item, outcome, act) {
  outcome.replaceChildren('Sending feedback ...');
  const answer = await sendFeedback(service, { card: card.uuid, ...item });
  act.log(answer, []);
  if (answer.status !== 200) {
    outcome.replaceChildren(`The feedback was refused (${answer.status}).`);
    return;
  }
  const stored = await read(`/fhir/Communication?identifier=${encodeURIComponent(card.uuid)}&_sort=-_lastUpdated`);
  const [kept] = (stored.value?.entry ?? []).map(({ resource }) => resource);
  outcome.replaceChildren(...storedWords(kept));
}

/** `Stored: overridden, Will be monitored. Communication/...`. */
function storedWords(kept) {
  if (kept === undefined) return ['Sent, but not found in the store.'];
  const [said] = (kept.extension ?? []).flatMap(({ extension = [] }) =>
    extension.filter(({ url }) => url === 'outcome').map(({ valueCode }) => valueCode),
  );
  const reason = kept.reasonCode?.[0]?.coding?.[0]?.display;
  const note = kept.note?.[0]?.text;
  const words = [said, reason, note && `"${note}"`].filter((part) => part !== undefined).join(', ');
  const address = new URL(`/fhir/Communication/${encodeURIComponent(kept.id)}`, location.href).href;
  return [`Feedback stored: ${words}. `, webLink('As stored', address)];
}
