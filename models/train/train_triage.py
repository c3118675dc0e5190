"""Trains and evaluates the two triage models from their committed tables: `/usr/bin/python3 models/train/train_triage.py train|evaluate [id ...]`.

`train` searches a small grid in nested cross-validation (whole years, or visits), fixes the thresholds on the held-out margins of that, fits a bag on all
training rows, folds Platt scaling in, and writes model.onnx, its hash, the thresholds and the held-out margins. Rows of the split `test` are never read there.
`evaluate` writes evaluation.json and card.json: held-out figures from those margins, final-split figures from the committed ONNX file, with bootstrap intervals.
"""

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import trees
from sklearn.metrics import average_precision_score, roc_auc_score
from trees import Settings

MODELS = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"
CARDS = Path(__file__).parent / "cards"
BOOTSTRAPS = 500
SEED = 22


@dataclass(frozen=True)
class Recipe:
    """`group`: column whose values stay together in folds; `bands`: band -> how its threshold is fixed on held-out margins."""

    group: str
    candidates: tuple
    bands: dict
    outer: int
    inner: int
    seeds: tuple


EMERGENCY = Settings(depth=4, rate=0.04, min_child_weight=8, subsample=0.7, columns=0.4, ridge=20, monotone=dict.fromkeys(("complaintAcuity", "complaintHighest", "complaintHigh"), 1))
RISING = ("consciousness", "complaintAcuity", "respiratoryRate", "complainsChestPain", "complainsAlteredMentalState", "complainsStroke", "complainsGiBleeding")
ACUTE = Settings(depth=4, rate=0.03, min_child_weight=1, subsample=0.8, columns=0.3, ridge=2, monotone=dict.fromkeys(RISING, 1))
RECIPES = {
    "triage-critical-care": Recipe(
        group="year",
        candidates=tuple(trees.grid(EMERGENCY, rounds=(350,), depth=(3, 4))) + tuple(trees.grid(EMERGENCY, rounds=(250,), depth=(5,), min_child_weight=(12.0,))),
        bands={"raised": {"sensitivity": 0.95}, "high": {"specificity": 0.95}},
        outer=5,
        inner=4,
        seeds=(1, 2, 3),
    ),
    "triage-high-acuity": Recipe(
        group="visit",
        candidates=tuple(trees.grid(ACUTE, rounds=(250, 400), depth=(3, 4))) + tuple(trees.grid(ACUTE, rounds=(400,), ridge=(6.0,), min_child_weight=(2.0,))),
        bands={"raised": {"sensitivity": 0.92}, "high": {"specificity": 0.95}},
        outer=10,
        inner=4,
        seeds=(1, 2, 3, 4, 5),
    ),
}


def train(model, recipe):
    folder = MODELS / model / "1.0.0"
    table = pd.read_csv(DATA / f"{model}.csv.gz")
    table = table[table.split == "train"].reset_index(drop=True)
    inputs, labels = table[trees.features_of(folder)], table.label.to_numpy()
    held_out, chosen = trees.nested(inputs, labels, table[recipe.group], recipe.candidates, outer=recipe.outer, inner=recipe.inner, seeds=recipe.seeds[:2])
    bands = {name: round(float(trees.probability(trees.threshold_at(held_out, labels, **fixed))), 4) for name, fixed in recipe.bands.items()}
    folds = trees.group_folds(table[recipe.group], labels, recipe.outer, 99)
    settings, margin, tried = trees.search(inputs, labels, folds, recipe.candidates, recipe.seeds[:2])
    slope, intercept = trees.platt(margin, labels)
    made = trees.ensemble(trees.fit(inputs, labels, settings, recipe.seeds), inputs.columns, slope, intercept)
    size = trees.write_model(folder, made, bands)
    target = DATA / f"{model}.held-out.csv.gz"
    table[["visit"]].assign(margin=held_out).to_csv(target, index=False, float_format="%.5g", compression={"method": "gzip", "mtime": 0, "compresslevel": 9})
    summary = lambda one: {"rounds": one.rounds, "depth": one.depth, "ridge": one.ridge}
    trees.write_json(
        folder / "training.json",
        {
            "rows": len(table),
            "positives": int(labels.sum()),
            "settings": asdict(settings),
            "members": len(recipe.seeds),
            "trees": len(made.trees),
            "platt": {"slope": round(slope, 4), "intercept": round(intercept, 4)},
            "search": [{"logLoss": round(loss, 4), "auroc": round(area, 4), **summary(one)} for loss, area, one in tried],
            "chosenInOuterFolds": [summary(one) for one in chosen],
        },
    )
    print(f"{model}: {len(table)} rows, {len(made.trees)} trees, {size} bytes, thresholds {bands}", flush=True)


def onnx_margins(folder, table):
    """Margins of the committed file, by walking its nodes in float32 as the runtime does."""
    node = onnx.load(str(folder / "model.onnx")).graph.node[0]
    given = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    starts = [at for at, one in enumerate(given["nodes_nodeids"]) if one == 0]
    leaf = dict(zip(zip(given["target_treeids"], given["target_nodeids"]), given["target_weights"]))
    rows = table[trees.features_of(folder)].to_numpy(np.float32)
    total = np.full(len(rows), given["base_values"][0], dtype=np.float64)
    column = {name: np.asarray(given[f"nodes_{name}"]) for name in ("featureids", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")}
    is_leaf = np.array([mode == b"LEAF" for mode in given["nodes_modes"]])
    for tree, start in enumerate(starts):
        at = np.full(len(rows), start)
        while not is_leaf[at].all():
            values = rows[np.arange(len(rows)), column["featureids"][at]]
            below = np.where(np.isnan(values), column["missing_value_tracks_true"][at] == 1, values < column["values"][at].astype(np.float32))
            following = start + np.where(below, column["truenodeids"][at], column["falsenodeids"][at])
            at = np.where(is_leaf[at], at, following)
        total += np.array([leaf[(tree, one - start)] for one in range(start, at.max() + 1) if is_leaf[one]])[np.cumsum(is_leaf[start:])[at - start] - 1]
    return total


def measures(labels, margin, thresholds):
    p = trees.probability(margin)
    slope, _ = trees.platt(margin, labels)
    found = {"overall": {"auroc": roc_auc_score(labels, margin), "auprc": average_precision_score(labels, margin), "slope": slope, "observedByExpected": labels.sum() / p.sum()}, "bands": {}}
    for band, threshold in thresholds.items():
        alert = p >= threshold
        hits = int((alert & (labels == 1)).sum())
        found["bands"][band] = {"sensitivity": hits / labels.sum(), "specificity": ((~alert) & (labels == 0)).sum() / (labels == 0).sum(), "ppv": hits / max(1, alert.sum()), "alertsPer100": 100 * alert.mean()}
    return found


def cohort(labels, margin, thresholds):
    """Estimates with 95 % bootstrap intervals over visits."""
    labels, margin = np.asarray(labels), np.asarray(margin)
    rng = np.random.default_rng(SEED)
    drawn = [measures(labels[picked], margin[picked], thresholds) for picked in (rng.integers(0, len(labels), len(labels)) for _ in range(BOOTSTRAPS))]
    best = measures(labels, margin, thresholds)
    interval = lambda values, value: [round(float(one), 4) for one in (value, *np.nanpercentile(values, (2.5, 97.5)))]
    return {
        "rows": len(labels),
        "cases": int(labels.sum()),
        "overall": {name: interval([one["overall"][name] for one in drawn], value) for name, value in best["overall"].items()},
        "bands": {
            band: {"threshold": thresholds[band], "at": {name: interval([one["bands"][band][name] for one in drawn], value) for name, value in row.items()}}
            for band, row in best["bands"].items()
        },
    }


def subgroups(table, margin):
    groups = {"sex": table.sex.map({0: "male", 1: "female"}), "age": pd.cut(table.age, [17, 49, 64, 79, 200], labels=["18-49", "50-64", "65-79", "80 and older"]).astype(str)}
    found = {}
    for name, values in groups.items():
        found[name] = {}
        for value in sorted(values.unique()):
            rows = (values == value).to_numpy()
            labels = table.label.to_numpy()[rows]
            if labels.sum() >= 10:
                expected = trees.probability(margin[rows]).sum()
                found[name][value] = {"rows": int(rows.sum()), "cases": int(labels.sum()), "auroc": round(roc_auc_score(labels, margin[rows]), 4), "observedByExpected": round(float(labels.sum() / expected), 4)}
    return found


def told(value):
    if isinstance(value, list):
        return f"{value[0]:.3f} ({value[1]:.3f}-{value[2]:.3f})"
    if isinstance(value, dict):
        return "; ".join(f"{name} {row['auroc']:.3f} (n {row['rows']}, {row['cases']} cases)" for name, row in value.items())
    return f"{round(value, 4)}"


def filled(template, evaluation):
    def figure(match):
        value = evaluation
        for key in match[1].split("."):
            value = value[key]
        return told(value)

    return re.sub(r"\{\{([^}]+)\}\}", figure, template)


def evaluate(model):
    folder = MODELS / model / "1.0.0"
    manifest = json.loads((folder / "manifest.json").read_text())
    thresholds = {band["name"]: band["from"] for band in manifest["bands"] if band["from"] > 0}
    table = pd.read_csv(DATA / f"{model}.csv.gz")
    training, final = table[table.split == "train"].reset_index(drop=True), table[table.split == "test"].reset_index(drop=True)
    margin = training[["visit"]].merge(pd.read_csv(DATA / f"{model}.held-out.csv.gz"), on="visit", how="left", validate="1:1").margin.to_numpy()
    cohorts = {"allHeldOut": cohort(training.label, margin, thresholds), "allTest": cohort(final.label, onnx_margins(folder, final), thresholds)}
    if "year" in table:
        last = (training.year == training.year.max()).to_numpy()
        cohorts["lastYearHeldOut"] = cohort(training.label[last], margin[last], thresholds)
    evaluation = {"model": model, "sha256": manifest["sha256"], "bootstraps": BOOTSTRAPS, "cohorts": cohorts, "subgroups": subgroups(training, margin)}
    trees.write_json(folder / "evaluation.json", evaluation)
    (folder / "card.json").write_text(filled((CARDS / f"{model}.json").read_text(), evaluation))
    for name, row in cohorts.items():
        print(model, name, row["rows"], row["cases"], {key: told(value) for key, value in row["overall"].items()}, {key: {k: told(v) for k, v in band["at"].items()} for key, band in row["bands"].items()}, flush=True)


if __name__ == "__main__":
    verb, *wanted = sys.argv[1:] or [""]
    if verb not in ("train", "evaluate") or any(name not in RECIPES for name in wanted):
        sys.exit(f"Usage: train_triage.py train|evaluate [{' '.join(RECIPES)}]")
    for name in wanted or RECIPES:
        train(name, RECIPES[name]) if verb == "train" else evaluate(name)
