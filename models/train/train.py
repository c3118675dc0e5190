"""Trains the committed models from the committed tables: `npm run models:train [-- id ...]`, two to ten minutes each on one core.

A recipe searches a small grid in nested cross-validation (whole hospitals, or stays), fixes the thresholds on the held-out margins of that,
fits a bag on all training rows, folds Platt scaling in, and writes model.onnx, its hash and the thresholds. Rows of the split `test` are
never read here. The held-out margins are written beside the table, for `npm run models:evaluate`.

`--again FOLDER [id ...]` fits the graphs once more with the settings that training.json names, writes them and their manifests to FOLDER/<id> and changes
nothing else. The search and the nested cross-validation are left out: they choose settings and thresholds, and the graph is the same without them.
"""

import json
import math
import shutil
import sys
from dataclasses import asdict, dataclass, replace
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
    """`row`: column that names a row; `group`: column whose values stay together; `bands`: band -> how its threshold is fixed; `within`: seeds of a search."""

    row: str
    group: str
    candidates: tuple
    bands: dict
    outer: int
    inner: int
    seeds: tuple = (1, 2, 3)
    within: int = 2


def sensitivity(wanted):
    return lambda margin, labels: trees.threshold_at(margin, labels, sensitivity=wanted)


def specificity(wanted):
    return lambda margin, labels: trees.threshold_at(margin, labels, specificity=wanted)


def balanced(margin, labels):
    """The threshold with the highest min(sensitivity, positive predictive value): there as many alerts as cases are given."""
    return float(np.sort(margin)[::-1][int(labels.sum()) - 1])


def stated(table):
    """Rows that thresholds are fixed on: not the visits that stand there again without their complaint."""
    return table.complaint == "stated" if "complaint" in table else np.full(len(table), True)


# Seed of the folds whose margins choose the settings and calibrate them.
CALIBRATION = 99
# Weight of a stay at another instant beside the one that is judged.
ALSO = 0.8
SEPSIS = Settings(depth=3, rate=0.03, rounds=250, min_child_weight=10, columns=0.4, penalty=0.003, bins=8, subsample=0.7, ridge=10, monotone=dict.fromkeys(RISING, 1))
MORTALITY = Settings(depth=3, rate=0.025, rounds=550, min_child_weight=5, subsample=0.6, columns=0.2, ridge=5, additive=0.2)
LATER = replace(MORTALITY, depth=4, rate=0.05, rounds=300, additive=0.15)
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
ACUTE = Settings(depth=4, rate=0.03, rounds=250, min_child_weight=1, subsample=0.8, columns=0.2, ridge=2, monotone=dict.fromkeys(WORSENING.split(), 1))
RECIPES = {
    "triage-critical-care": Recipe(
        row="visit",
        group="year",
        candidates=tuple(trees.grid(EMERGENCY, rounds=(350,), depth=(3, 4)))
        + tuple(trees.grid(EMERGENCY, rounds=(250,), depth=(5,), min_child_weight=(12.0,))),
        # Half a point above the target of 0.95 (five of the training cases), so that neither rounding nor a few cases take it below.
        bands={"raised": sensitivity(0.955), "high": specificity(0.95)},
        outer=5,
        inner=4,
    ),
    "triage-high-acuity": Recipe(
        row="visit",
        group="visit",
        candidates=tuple(trees.grid(ACUTE, depth=(4, 5), columns=(0.2, 0.3))),
        bands={"raised": sensitivity(0.92), "high": specificity(0.95)},
        outer=10,
        inner=4,
        seeds=(1, 2, 3, 4, 5),
    ),
    "sepsis-icu": Recipe(
        row="patientunitstayid",
        group="hospital",
        candidates=tuple(trees.grid(SEPSIS, additive=(0.2, 0.35), depth=(3, 4))),
        bands={"screen": sensitivity(0.94), "act": specificity(0.95)},
        outer=10,
        inner=5,
    ),
    **{
        f"icu-mortality-{hours}h": Recipe(
            row="RecordID",
            group="RecordID",
            candidates=tuple(trees.grid(settings, hazard=hazard)),
            bands={"raised": sensitivity(0.80), "high": balanced},
            outer=5,
            inner=3,
            seeds=(1, 2, 3, 4),
            within=within,
        )
        for hours, settings, hazard, within in ((24, LATER, (0.25,), 1), (48, MORTALITY, (0.0, 0.25), 2))
    },
}


def shortened(threshold):
    """Four significant digits, downwards: no row that was called is lost."""
    digits = 3 - math.floor(math.log10(threshold))
    return math.floor(threshold * 10**digits) / 10**digits


def share(settings):
    """The shares of the members beside the boosted ones, where there are any."""
    shares = {"additive": settings.additive, "hazard": settings.hazard}
    return {name: value for name, value in shares.items() if value > 0}


def told(settings):
    left_out = ([] if settings.additive > 0 else ["additive", "penalty", "bins"]) + ([] if settings.hazard > 0 else ["hazard"])
    return {key: value for key, value in asdict(settings).items() if key not in left_out}


def read(model, recipe):
    """The training rows of a table. Column `also` 1: a stay at another instant, learned from and never judged; `days`: survival."""
    table = pd.read_csv(DATA / f"{model}.csv.gz")
    table = table[table.split == "train"].reset_index(drop=True)
    judged = (table.also == 0).to_numpy() if "also" in table else None
    weights = None if judged is None else np.where(judged, 1.0, ALSO)
    days = table.days.to_numpy() if "days" in table else None
    rows = trees.Rows(table[trees.features_of(trees.newest(model))], table.label.to_numpy(), table[recipe.group].to_numpy(), days, weights, judged)
    return table if judged is None else table[judged].reset_index(drop=True), rows


def fitted(rows, settings, margin, recipe):
    """Members on all rows, calibrated on cross-fitted margins of the judged ones, as one sum of trees; and slope and intercept."""
    slope, intercept = trees.platt(margin, rows.own.labels)
    members = trees.fit(rows, settings, recipe.seeds)
    return trees.ensemble(members, rows.inputs.columns, slope, intercept), len(members.boosters), {"slope": round(slope, 4), "intercept": round(intercept, 4)}


def again(model, recipe, folder):
    """The graph of the newest version, from the table and the settings in its training.json."""
    _, rows = read(model, recipe)
    own = trees.newest(model)
    said = json.loads((own / "training.json").read_text())
    if differing := [f"{name} {trees.LIBRARIES[name]}, not {version}" for name, version in said["libraries"].items() if trees.LIBRARIES[name] != version]:
        sys.exit(f"{model} was trained with other libraries. Here: {'; '.join(differing)}.")
    folds = trees.group_folds(rows.groups, rows.labels, recipe.outer, CALIBRATION)
    settings, margin, _ = trees.search(rows, folds, [Settings(**said["settings"])], recipe.seeds[: recipe.within])
    made, _, _ = fitted(rows, settings, margin, recipe)
    target = Path(folder) / model
    target.mkdir()
    shutil.copy(own / "manifest.json", target)
    trees.write_model(target, made)
    print(f"{model}: fitted again", flush=True)


def train(model, recipe):
    folder = trees.newest(model)
    table, rows = read(model, recipe)
    labels = rows.own.labels
    say = lambda text: print(f"{model}: {text}", flush=True)
    held_out, chosen = trees.nested(rows, recipe.candidates, outer=recipe.outer, inner=recipe.inner, seeds=recipe.seeds[:2], within=recipe.seeds[: recipe.within], say=say)
    held_out = held_out if rows.judged is None else held_out[rows.judged]
    asked = stated(table)
    thresholds = {band: float(trees.probability(fixed(held_out[asked], labels[asked]))) for band, fixed in recipe.bands.items()}
    folds = trees.group_folds(rows.groups, rows.labels, recipe.outer, CALIBRATION)
    settings, margin, tried = trees.search(rows, folds, recipe.candidates, recipe.seeds[: recipe.within])
    made, members, platt = fitted(rows, settings, margin, recipe)
    size = trees.write_model(folder, made, {band: shortened(value) for band, value in thresholds.items()})
    keys = [recipe.row] + [name for name in ("names", "complaint") if name in table]
    target = DATA / f"{model}.held-out.csv.gz"
    table[keys].assign(margin=held_out).to_csv(target, index=False, float_format="%.5g", compression={"method": "gzip", "mtime": 0, "compresslevel": 9})
    trees.write_json(
        folder / "training.json",
        {
            "rows": len(table),
            "positives": int(labels.sum()),
            "settings": told(settings),
            "members": members,
            "trees": len(made.trees),
            "platt": platt,
            "libraries": trees.LIBRARIES,
            "search": [{"logLoss": round(loss, 4), "auroc": round(area, 4), "rounds": one.rounds, "columns": one.columns, "depth": one.depth, **share(one)} for loss, area, one in tried],
            "chosenInOuterFolds": [{"rounds": one.rounds, "columns": one.columns, "depth": one.depth, **share(one)} for one in chosen],
        },
    )
    print(f"{model}: {len(table)} rows, {len(made.trees)} trees, {size} bytes, thresholds {thresholds}", flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] == ["--again"] and len(given) < 2:
        sys.exit("Usage: train.py --again FOLDER [id ...]")
    target, named = (given[1], given[2:]) if given[:1] == ["--again"] else (None, given)
    wanted = named or list(RECIPES)
    if unknown := [name for name in wanted if name not in RECIPES]:
        sys.exit(f"No recipe for {', '.join(unknown)}. There are: {', '.join(RECIPES)}.")
    for name in wanted:
        if target is None:
            train(name, RECIPES[name])
        else:
            again(name, RECIPES[name], target)
