"""Trains the committed models from the committed tables: `npm run models:train [-- id ...]`, some ten minutes each on one core.

A recipe searches a small grid in nested cross-validation (whole hospitals, or stays), fixes the thresholds on the held-out margins of that,
fits a bag on all training rows, folds Platt scaling in, and writes model.onnx, its hash and the thresholds. Rows of the split `test` are
never read here. The held-out margins are written beside the table, for `npm run models:evaluate`.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import trees  # first: it says which package is absent
from trees import Settings

import numpy as np
import pandas as pd

MODELS = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"

RISING = (
    "antibiotics broadAntibiotics cultures infections pulmonaryInfection urinaryInfection abdominalInfection skinInfection "
    "feverProblem hypotension fluidBolus immunocompromise"
).split()


@dataclass(frozen=True)
class Recipe:
    """`row`: column that names a row; `group`: column whose values stay together; `bands`: band -> how its threshold is fixed."""

    row: str
    group: str
    candidates: tuple
    bands: dict
    outer: int
    inner: int
    seeds: tuple = (1, 2, 3)


def sensitivity(wanted):
    return lambda margin, labels: trees.threshold_at(margin, labels, sensitivity=wanted)


def specificity(wanted):
    return lambda margin, labels: trees.threshold_at(margin, labels, specificity=wanted)


def balanced(margin, labels):
    """The threshold with the highest min(sensitivity, positive predictive value): there as many alerts as cases are given."""
    return float(np.sort(margin)[::-1][int(labels.sum()) - 1])


SEPSIS = Settings(depth=3, rate=0.03, min_child_weight=10, subsample=0.7, ridge=10, monotone=dict.fromkeys(RISING, 1))
MORTALITY = Settings(depth=3, rate=0.025, rounds=550, min_child_weight=5, subsample=0.6, columns=0.2, ridge=5)
EMERGENCY = Settings(
    depth=4,
    rate=0.04,
    min_child_weight=8,
    subsample=0.7,
    columns=0.4,
    ridge=20,
    monotone=dict.fromkeys(("complaintAcuity", "complaintHighest", "complaintHigh"), 1),
)
WORSENING = "consciousness complaintAcuity respiratoryRate complainsChestPain complainsAlteredMentalState complainsStroke complainsGiBleeding"
ACUTE = Settings(depth=4, rate=0.03, min_child_weight=1, subsample=0.8, columns=0.3, ridge=2, monotone=dict.fromkeys(WORSENING.split(), 1))
RECIPES = {
    "triage-critical-care": Recipe(
        row="visit",
        group="year",
        candidates=tuple(trees.grid(EMERGENCY, rounds=(350,), depth=(3, 4)))
        + tuple(trees.grid(EMERGENCY, rounds=(250,), depth=(5,), min_child_weight=(12.0,))),
        bands={"raised": sensitivity(0.95), "high": specificity(0.95)},
        outer=5,
        inner=4,
    ),
    "triage-high-acuity": Recipe(
        row="visit",
        group="visit",
        candidates=tuple(trees.grid(ACUTE, rounds=(250, 400), depth=(3, 4)))
        + tuple(trees.grid(ACUTE, rounds=(400,), ridge=(6.0,), min_child_weight=(2.0,))),
        bands={"raised": sensitivity(0.92), "high": specificity(0.95)},
        outer=10,
        inner=4,
        seeds=(1, 2, 3, 4, 5),
    ),
    "sepsis-icu": Recipe(
        row="patientunitstayid",
        group="hospital",
        candidates=tuple(trees.grid(SEPSIS, rounds=(200, 300), columns=(0.3, 0.5))),
        bands={"screen": sensitivity(0.94), "act": specificity(0.955)},
        outer=10,
        inner=5,
    ),
    **{
        f"icu-mortality-{hours}h": Recipe(
            row="RecordID",
            group="RecordID",
            candidates=tuple(trees.grid(MORTALITY, additive=(0.0, 0.2, 0.35, 0.5))),
            bands={"raised": sensitivity(0.80), "high": balanced},
            outer=5,
            inner=3,
            seeds=(1, 2, 3, 4),
        )
        for hours in (24, 48)
    },
}


def share(settings):
    """The share of the additive model, where there is one."""
    return {"additive": settings.additive} if settings.additive > 0 else {}


def told(settings):
    own = asdict(settings)
    return own if settings.additive > 0 else {key: value for key, value in own.items() if key not in ("additive", "penalty", "bins")}


def train(model, recipe):
    folder = MODELS / model / "1.0.0"
    table = pd.read_csv(DATA / f"{model}.csv.gz")
    table = table[table.split == "train"].reset_index(drop=True)
    inputs, labels = table[trees.features_of(folder)], table.label.to_numpy()
    held_out, chosen = trees.nested(
        inputs, labels, table[recipe.group], recipe.candidates, outer=recipe.outer, inner=recipe.inner, seeds=recipe.seeds[:2]
    )
    thresholds = {band: float(trees.probability(fixed(held_out, labels))) for band, fixed in recipe.bands.items()}
    folds = trees.group_folds(table[recipe.group], labels, recipe.outer, 99)
    settings, margin, tried = trees.search(inputs, labels, folds, recipe.candidates, recipe.seeds[:2])
    slope, intercept = trees.platt(margin, labels)
    members = trees.fit(inputs, labels, settings, recipe.seeds)
    made = trees.ensemble(members, inputs.columns, slope, intercept)
    size = trees.write_model(folder, made, {band: round(value, 4) for band, value in thresholds.items()})
    keys = [recipe.row] + (["names"] if "names" in table else [])
    target = DATA / f"{model}.held-out.csv.gz"
    table[keys].assign(margin=held_out).to_csv(target, index=False, float_format="%.5g", compression={"method": "gzip", "mtime": 0, "compresslevel": 9})
    trees.write_json(
        folder / "training.json",
        {
            "rows": len(table),
            "positives": int(labels.sum()),
            "settings": told(settings),
            "members": len(members.boosters),
            "trees": len(made.trees),
            "platt": {"slope": round(slope, 4), "intercept": round(intercept, 4)},
            "search": [{"logLoss": round(loss, 4), "auroc": round(area, 4), "rounds": one.rounds, "columns": one.columns, "depth": one.depth, **share(one)} for loss, area, one in tried],
            "chosenInOuterFolds": [{"rounds": one.rounds, "columns": one.columns, "depth": one.depth, **share(one)} for one in chosen],
        },
    )
    print(f"{model}: {len(table)} rows, {len(made.trees)} trees, {size} bytes, thresholds {thresholds}", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(RECIPES)
    if unknown := [name for name in wanted if name not in RECIPES]:
        sys.exit(f"No recipe for {', '.join(unknown)}. There are: {', '.join(RECIPES)}.")
    for name in wanted:
        train(name, RECIPES[name])
