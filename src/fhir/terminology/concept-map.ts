/** Translation of a code by concept maps. Pure. Source: FHIR R4 conceptmap.html, conceptmap-operation-translate.html. */
import { isJsonObject, type Json, type JsonObject, type Resource } from '../resource.ts';
import { objectsAt, textAt } from './terminology.ts';

export interface Translation {
  /** valueset-concept-map-equivalence, as from what was asked to what was found. */
  readonly equivalence: string;
  /** undefined: the map says that there is none. */
  readonly concept: { readonly system?: string; readonly code: string; readonly display?: string } | undefined;
  /** Canonical of the map. */
  readonly source: string | undefined;
}
export interface Asked {
  readonly system: string;
  readonly code: string;
  readonly targetSystem: string | undefined;
  /** From target to source. */
  readonly reverse: boolean;
}

/** The equivalences that change when a map is read backwards. */
const BACKWARDS: Readonly<Record<string, string>> = {
  wider: 'narrower',
  narrower: 'wider',
  subsumes: 'specializes',
  specializes: 'subsumes',
};

/** Every translation that a map gives for a code; empty when it says nothing of it. */
export function translations(map: Resource, asked: Asked): readonly Translation[] {
  const source = textAt(map.url);
  const groups = objectsAt(map.group).filter((group) => {
    const [from, to] = asked.reverse ? [group.target, group.source] : [group.source, group.target];
    return from === asked.system && (asked.targetSystem === undefined || to === asked.targetSystem);
  });
  return groups.flatMap((group) => {
    const found = asked.reverse ? backwards(group, asked.code) : forwards(group, asked.code);
    return found.map((each) => ({ ...each, source }));
  });
}

type Found = Omit<Translation, 'source'>;

function conceptOf(system: Json | undefined, code: Json | undefined, display: Json | undefined): Found['concept'] {
  const text = textAt(code);
  if (text === undefined) return undefined;
  const [url, shown] = [textAt(system), textAt(display)];
  return {
    ...(url === undefined ? {} : { system: url }),
    code: text,
    ...(shown === undefined ? {} : { display: shown }),
  };
}

function forwards(group: JsonObject, code: string): readonly Found[] {
  const elements = objectsAt(group.element).filter((element) => element.code === code);
  if (elements.length === 0) return unmapped(group, code);
  return elements.flatMap((element) =>
    objectsAt(element.target).map((target) => ({
      equivalence: textAt(target.equivalence) ?? 'relatedto',
      concept: conceptOf(group.target, target.code, target.display),
    })),
  );
}

/** `provided`: the code as it is; `fixed`: one code for all. What another map would say is not followed. */
function unmapped({ unmapped: rule, target }: JsonObject, code: string): readonly Found[] {
  if (rule === undefined || !isJsonObject(rule)) return [];
  if (rule.mode === 'provided') return [{ equivalence: 'equal', concept: conceptOf(target, code, undefined) }];
  if (rule.mode !== 'fixed') return [];
  return [{ equivalence: 'inexact', concept: conceptOf(target, rule.code, rule.display) }];
}

function backwards(group: JsonObject, code: string): readonly Found[] {
  return objectsAt(group.element).flatMap((element) =>
    objectsAt(element.target)
      .filter((target) => target.code === code)
      .map((target) => {
        const equivalence = textAt(target.equivalence) ?? 'relatedto';
        return {
          equivalence: Object.hasOwn(BACKWARDS, equivalence) ? (BACKWARDS[equivalence] ?? equivalence) : equivalence,
          concept: conceptOf(group.source, element.code, element.display),
        };
      }),
  );
}
