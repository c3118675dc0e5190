/** `audit_index.home`: what `value` is. Facet numbers, subject numbers, `Type/id`. Never renumbered. */
export const HOME = { kind: 1, agents: 2, subject: 3, entity: 4 } as const;
