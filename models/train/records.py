"""Reads texts as the server does: which kinds of a concept (models/concepts.json) a text names. The same rule as src/risk/features/concepts.ts."""

import json
import re
from functools import lru_cache
from pathlib import Path

CONCEPTS = json.loads((Path(__file__).parents[1] / "concepts.json").read_text())["concepts"]


def folded(text):
    """Lower case, letters and digits only, single spaces, one space before and after."""
    return f" {re.sub('[^a-z0-9]+', ' ', text.lower()).strip()} "


@lru_cache(maxsize=None)
def kinds(concept, text, code=""):
    """Names of the concept's kinds that a text (or ICD-10-CM codes, comma-separated) names; none when it names an exception."""
    row = CONCEPTS[concept]
    said = folded(text)
    codes = [one.strip() for one in code.split(",")]
    starts = lambda terms: any(one.startswith(term["code"]) for term in terms for one in codes if term["system"].endswith("icd-10-cm"))
    if any(f" {word}" in said for word in row["except"]) or starts(row["exceptCodes"]):
        return frozenset()
    return frozenset(
        kind["name"] for kind in row["kinds"] if any(f" {word}" in said for word in kind["words"]) or starts(kind["codes"])
    )
