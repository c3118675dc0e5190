"""Gradient-boosted trees that become one ONNX graph: fit, search, bag, calibrate, write.

Needs the Debian packages python3-numpy, python3-pandas, python3-sklearn, python3-xgboost and python3-onnx; nothing from elsewhere.
Every step takes its seed as an argument and uses one thread, so that the same table gives the same bytes on the same library versions.

A model is a list of trees and a base. Its margin (log-odds) for a row is `base + sum of one leaf a tree`; its probability is the logistic
function of that. Bagged members are averaged in the margin, so that the mean is again a sum of trees; Platt scaling is linear in the
margin, so that it too is folded into the leaves and the base. Missing inputs are NaN and follow the default branch of a node.
A logistic regression on binned inputs may stand beside the boosted members: a sum of steps of one input each, and a step function is a tree.
So may boosted trees that were fitted to the time until death (Cox's partial likelihood): their log hazard, too, is a sum of trees.
"""

import hashlib
import json
import math
import os
import sys
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from statistics import NormalDist

PACKAGES = ("numpy", "pandas", "sklearn", "xgboost", "onnx")
# Sums over several threads come out differently from run to run.
os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")

try:
    import numpy as np
    import onnx
    import pandas as pd
    import sklearn
    import xgboost
    from onnx import TensorProto, helper
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
except ModuleNotFoundError as absent:
    wanted = " ".join(f"python3-{name}" for name in PACKAGES)
    sys.exit(f"Training needs the Python package `{absent.name}`, which is absent. On Debian: apt-get install {wanted}")

# What the same bytes depend on beside the tables and the seeds.
LIBRARIES = {one.__name__: one.__version__ for one in (np, pd, sklearn, xgboost, onnx)}


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of one member. `monotone`: feature name -> 1 (risk may only rise with it) or -1.

    `additive`: share, 0 to 1, of a ridge logistic regression on binned inputs in the margin; `penalty`: its C; `bins`: of each input.
    `hazard`: share, 0 to 1, of boosted trees fitted to survival.
    """

    rounds: int = 200
    depth: int = 3
    rate: float = 0.03
    min_child_weight: float = 5.0
    subsample: float = 0.7
    columns: float = 0.5
    ridge: float = 10.0
    monotone: dict = field(default_factory=dict)
    additive: float = 0.0
    penalty: float = 0.002
    bins: int = 16
    hazard: float = 0.0

    def params(self, names, seed):
        constraints = tuple(self.monotone.get(name, 0) for name in names)
        return {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "nthread": 1,
            "seed": seed,
            "base_score": 0.5,
            "max_depth": self.depth,
            "eta": self.rate,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.columns,
            "lambda": self.ridge,
            **({"monotone_constraints": str(constraints)} if any(constraints) else {}),
        }


def grid(base, **choices):
    """Every combination of the choices, as Settings."""
    return [replace(base, **dict(zip(choices, values))) for values in product(*choices.values())]


@dataclass(frozen=True)
class Rows:
    """What is learned from. `inputs`: pandas frame of numbers, NaN for missing; `labels`: 0 or 1; `groups`: rows that stay together.

    `days`: until death, or minus the days followed; None: not known. `judged`: rows that thresholds, calibration and search look at; the others
    (a stay at other instants) are learned from only, with their `weights`, and only by the boosted members.
    """

    inputs: object
    labels: np.ndarray
    groups: np.ndarray
    days: object = None
    weights: object = None
    judged: object = None

    def __getitem__(self, mask):
        own = lambda values: None if values is None else np.asarray(values)[mask]
        return Rows(self.inputs[mask], own(self.labels), own(self.groups), own(self.days), own(self.weights), own(self.judged))

    @property
    def own(self):
        """The judged rows."""
        return self if self.judged is None else self[np.asarray(self.judged)]


def boosted(rows, settings, seeds):
    """One booster for each seed."""
    return grown(rows, rows.labels, {}, settings, seeds)


def hazards(rows, settings, seeds):
    """One booster of the log hazard of death for each seed, of depth 3, from the judged rows: a row stands once in Cox's risk sets."""
    own = replace(rows.own, weights=None)
    return grown(own, own.days, {"objective": "survival:cox", "base_score": 1.0}, replace(settings, depth=3), seeds)


def grown(rows, target, change, settings, seeds):
    names = list(rows.inputs.columns)
    data = xgboost.DMatrix(rows.inputs.to_numpy(np.float32), label=np.asarray(target), weight=rows.weights, missing=np.nan)
    return [xgboost.train(settings.params(names, seed) | change, data, settings.rounds) for seed in seeds]


def boosted_margins(members, table):
    """Mean margin (log-odds, or log hazard) of the boosters for each row."""
    data = xgboost.DMatrix(table.to_numpy(np.float32), missing=np.nan)
    return np.mean([member.predict(data, output_margin=True) for member in members], axis=0)


@dataclass(frozen=True)
class Steps:
    """Log-odds of one input: `cuts` ascending float32, `values` one more than those, `missing`, and how many training rows fell where (missing last)."""

    cuts: np.ndarray
    values: np.ndarray
    missing: float
    rows: np.ndarray

    def of(self, column):
        known = self.values[np.searchsorted(self.cuts, column, side="right")]
        return np.where(np.isnan(column), self.missing, known)


@dataclass(frozen=True)
class Additive:
    """Intercept and the steps of each input, in the order of the table."""

    base: float
    steps: tuple

    def margins(self, table):
        values = table.to_numpy(np.float32)
        return self.base + sum(one.of(values[:, at]) for at, one in enumerate(self.steps))


def additive(table, labels, settings):
    """Ridge logistic regression on normal scores of quantile bins, their squares, and whether the input is missing; written back as steps."""
    values, designs, kept = table.to_numpy(np.float32), [], []
    for at in range(values.shape[1]):
        column = values[:, at]
        known = column[~np.isnan(column)]
        quantiles = np.quantile(known, np.linspace(0, 1, settings.bins + 1)[1:-1]) if len(known) else []
        cuts = np.unique(np.asarray(quantiles, dtype=np.float32))
        bins = np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column, side="right"))
        rows = np.bincount(bins, minlength=len(cuts) + 2)
        middle = (np.cumsum(rows[:-1]) - rows[:-1] / 2) / max(1, len(known))
        score = np.array([NormalDist().inv_cdf(min(0.99, max(0.01, one))) for one in middle])
        terms = np.zeros((len(cuts) + 2, 3))
        terms[:-1, 0], terms[:-1, 1], terms[-1, 2] = score, score**2 - 1, 1
        mean = rows @ terms / rows.sum()
        spread = np.sqrt(np.maximum(rows @ (terms - mean) ** 2 / rows.sum(), 0))
        terms = np.where(spread > 1e-6, (terms - mean) / np.where(spread > 1e-6, spread, 1), 0)
        designs.append(terms[bins])
        kept.append((cuts, rows, terms))
    line = LogisticRegression(C=settings.penalty, max_iter=300).fit(np.hstack(designs), np.asarray(labels))
    weights = line.coef_[0].reshape(-1, 3)
    steps = [(cuts, terms @ weight, rows) for (cuts, rows, terms), weight in zip(kept, weights)]
    return Additive(float(line.intercept_[0]), tuple(Steps(cuts, found[:-1], float(found[-1]) if rows[-1] else 0.0, rows) for cuts, found, rows in steps))


@dataclass(frozen=True)
class Members:
    """Boosters, and beside them an additive model that makes `share` of the margin and boosters of the hazard that make `hazard` of it."""

    boosters: tuple
    steps: object = None
    share: float = 0.0
    hazards: tuple = ()
    hazard: float = 0.0


def fit(rows, settings, seeds):
    """All members of a model."""
    steps = additive(rows.own.inputs, rows.own.labels, settings) if settings.additive > 0 else None
    deaths = tuple(hazards(rows, settings, seeds)) if settings.hazard > 0 else ()
    return Members(tuple(boosted(rows, settings, seeds)), steps, settings.additive, deaths, settings.hazard)


def margins(members, table):
    """Margin (log-odds) of each row: the mean of the boosters, and the others by their shares."""
    parts = {"boosted": boosted_margins(members.boosters, table)}
    if members.steps is not None:
        parts["additive"] = members.steps.margins(table)
    if members.hazards:
        parts["hazard"] = boosted_margins(members.hazards, table)
    return blend(parts, members.share, members.hazard)


def blend(parts, share, hazard):
    """Weighted sum of the margins of the parts, those that have no share left out."""
    shares = {"boosted": 1 - share - hazard, "additive": share, "hazard": hazard}
    return sum(shares[name] * margin for name, margin in parts.items() if shares[name] > 0)


def group_folds(groups, labels, count, seed):
    """Fold of each row: whole groups; those with positives, most first, into the fold with the fewest positives, the others into the one with the fewest rows."""
    rng = np.random.default_rng(seed)
    groups, labels = np.asarray(groups), np.asarray(labels)
    names = np.unique(groups)
    rng.shuffle(names)
    positives = {name: int(labels[groups == name].sum()) for name in names}
    rows = {name: int((groups == name).sum()) for name in names}
    held = np.zeros((count, 2))
    fold_of = {}
    for name in sorted(names, key=lambda one: (-positives[one], -rows[one])):
        by = (0, 1) if positives[name] > 0 else (1, 0)
        fold = min(range(count), key=lambda one: tuple(held[one][list(by)]))
        fold_of[name] = fold
        held[fold] += (positives[name], rows[name])
    return np.array([fold_of[name] for name in groups])


def cross_fit(rows, folds, settings, seeds, known=None):
    """Margin of each row from members that never saw its fold. `known`: margins of parts that were found before, by their settings."""
    known = {} if known is None else known
    plain = replace(settings, additive=0.0, hazard=0.0)
    parts = {"boosted": plain}
    if settings.additive > 0:
        parts["additive"] = (settings.penalty, settings.bins)
    if settings.hazard > 0:
        parts["hazard"] = plain
    for part, key in parts.items():
        if (part, repr(key)) in known:
            continue
        found = np.full(len(rows.labels), np.nan)
        for fold in np.unique(folds):
            held = folds == fold
            others, table = rows[~held], rows.inputs[held]
            if part == "boosted":
                found[held] = boosted_margins(boosted(others, plain, seeds), table)
            elif part == "hazard":
                found[held] = boosted_margins(hazards(others, plain, seeds), table)
            else:
                found[held] = additive(others.own.inputs, others.own.labels, settings).margins(table)
        known[(part, repr(key))] = found
    return blend({part: known[(part, repr(key))] for part, key in parts.items()}, settings.additive, settings.hazard)


def log_loss(labels, margin):
    """Mean negative log likelihood of the labels under the margins."""
    return float(np.mean(np.logaddexp(0, margin) - np.asarray(labels) * margin))


def search(rows, folds, candidates, seeds):
    """The candidate with the lowest cross-fitted log loss over the judged rows, its margins there, and the losses and AUROCs of all."""
    tried, known, labels = [], {}, rows.own.labels
    judged = slice(None) if rows.judged is None else np.asarray(rows.judged)
    for settings in candidates:
        margin = cross_fit(rows, folds, settings, seeds, known)[judged]
        slope, intercept = platt(margin, labels)
        tried.append((log_loss(labels, slope * margin + intercept), roc_auc_score(labels, margin), settings, margin))
    best = min(tried, key=lambda one: one[0])
    return best[2], best[3], [(loss, area, settings) for loss, area, settings, _ in tried]


def nested(rows, candidates, *, outer=5, inner=4, seed=1, seeds=(1,), within=None, say=lambda text: None):
    """Calibrated margin of each row where settings and calibration, too, were chosen without its outer fold. Also the settings chosen.

    `within`: seeds of the inner folds, where they are fewer.
    """
    outer_folds = group_folds(rows.groups, rows.labels, outer, seed)
    found = np.full(len(rows.labels), np.nan)
    chosen = []
    for fold in range(outer):
        held = outer_folds == fold
        others = rows[~held]
        inner_folds = group_folds(others.groups, others.labels, inner, seed + 1 + fold)
        settings, margin, _ = search(others, inner_folds, candidates, within or seeds)
        slope, intercept = platt(margin, others.own.labels)
        found[held] = slope * margins(fit(others, settings, seeds), rows.inputs[held]) + intercept
        chosen.append(settings)
        own = held if rows.judged is None else held & np.asarray(rows.judged)
        say(f"outer fold {fold + 1} of {outer}: AUROC {roc_auc_score(rows.labels[own], found[own]):.4f}")
    return found, chosen


def platt(margin, labels):
    """Slope and intercept of the logistic regression of the labels on cross-fitted margins. Platt 1999, without his prior."""
    line = LogisticRegression(C=1e6).fit(np.asarray(margin).reshape(-1, 1), labels)
    return float(line.coef_[0][0]), float(line.intercept_[0])


def threshold_at(margin, labels, *, sensitivity=None, specificity=None):
    """The highest margin with at least this sensitivity, or the lowest with at least this specificity; an alert is `margin >= threshold`."""
    margin, labels = np.asarray(margin), np.asarray(labels)
    if sensitivity is not None:
        cases = np.sort(margin[labels == 1])[::-1]
        return float(cases[max(0, math.ceil(sensitivity * len(cases)) - 1)])
    others = np.sort(margin[labels == 0])
    at = min(len(others) - 1, math.ceil(specificity * len(others)))
    return float(np.nextafter(others[at - 1], np.inf)) if at > 0 else float(others[0])


def probability(margin):
    """Logistic function."""
    return 1 / (1 + np.exp(-np.asarray(margin, dtype=np.float64)))


@dataclass(frozen=True)
class Ensemble:
    """Trees as lists of nodes. A node is (feature, threshold, yes, no, missing_is_yes, leaf, cover): yes when value < threshold."""

    names: tuple
    base: float
    trees: tuple

    def margins(self, table):
        """Margin of each row by walking the nodes in float32, as the runtime does."""
        rows = table[list(self.names)].to_numpy(np.float32)
        return np.array([self.base + sum(float(_leaf(tree, row)) for tree in self.trees) for row in rows])


def _leaf(tree, row):
    at = 0
    while True:
        feature, threshold, yes, no, missing_is_yes, leaf, _ = tree[at]
        if yes < 0:
            return np.float32(leaf)
        value = row[feature]
        at = (yes if missing_is_yes else no) if np.isnan(value) else yes if value < np.float32(threshold) else no


def ensemble(members, names, slope=1.0, intercept=0.0):
    """The members' mean, calibrated: margin = slope * mean + intercept, folded into leaves and base."""
    trees, base = [], float(intercept)
    own = 1 - members.share - members.hazard
    parts = [(one, own / len(members.boosters), 0.5) for one in members.boosters]
    parts += [(one, members.hazard / len(members.hazards), 1.0) for one in members.hazards]
    for member, share, start in parts:  # `start`: the score of margin 0, a probability of 0.5 or a hazard of 1
        booster = json.loads(bytes(member.save_raw("json")))["learner"]
        if float(booster["learner_model_param"]["base_score"]) != start:
            raise ValueError("Members are expected to start from margin 0.")
        for tree in booster["gradient_booster"]["model"]["trees"]:
            trees.append(_nodes(tree, slope * share))
    if members.steps is not None:
        scale = slope * members.share
        base += scale * members.steps.base
        trees += [_step_nodes(at, steps, scale) for at, steps in enumerate(members.steps.steps) if np.abs(steps.values).max() > 1e-9 or steps.missing]
    return Ensemble(tuple(names), base, tuple(trees))


LOWEST = float(np.finfo(np.float32).min)


def _step_nodes(feature, steps, scale):
    """One tree of one input: missing leaves at the root, every known value goes on to a balanced search for its bin."""
    rows = steps.rows
    nodes = [(feature, LOWEST, 1, 2, True, 0.0, float(rows.sum())), (0, 0.0, -1, -1, False, steps.missing * scale, float(rows[-1]))]

    def below(low, high):
        """Index of the node that parts bins low to high (both included)."""
        at = len(nodes)
        cover = float(rows[low : high + 1].sum())
        if low == high:
            nodes.append((0, 0.0, -1, -1, False, float(steps.values[low]) * scale, cover))
            return at
        nodes.append(None)
        middle = (low + high) // 2
        yes, no = below(low, middle), below(middle + 1, high)
        nodes[at] = (feature, float(steps.cuts[middle]), yes, no, False, 0.0, cover)
        return at

    below(0, len(steps.values) - 1)
    return tuple(nodes)


def _nodes(tree, scale):
    """Nodes of one XGBoost tree. A leaf keeps its value in `split_conditions`. Compacted in the order of a walk from the root."""
    order, stack = [], [0]
    while stack:
        at = stack.pop()
        order.append(at)
        if tree["left_children"][at] >= 0:
            stack += [tree["right_children"][at], tree["left_children"][at]]
    place = {node: index for index, node in enumerate(order)}
    nodes = []
    for at in order:
        left, right = tree["left_children"][at], tree["right_children"][at]
        value, cover = tree["split_conditions"][at], tree["sum_hessian"][at]
        if left < 0:
            nodes.append((0, 0.0, -1, -1, False, value * scale, cover))
        else:
            missing_is_yes = bool(tree["default_left"][at])
            nodes.append((tree["split_indices"][at], value, place[left], place[right], missing_is_yes, 0.0, cover))
    return tuple(nodes)


def onnx_bytes(model, name):
    """One TreeEnsembleRegressor and a Sigmoid: `inputs` [batch, n] -> `margin` [batch, 1], `probability` [batch, 1].

    Opsets ai.onnx 15 and ai.onnx.ml 3, IR 8. `nodes_hitrates` holds the cover (sum of hessians), which exact contributions need.
    """
    columns = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    tracks, covers = [], []
    leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree_id, tree in enumerate(model.trees):
        for node_id, (feature, threshold, yes, no, missing_is_yes, leaf, cover) in enumerate(tree):
            is_leaf = yes < 0
            row = (tree_id, node_id, feature, threshold, "LEAF" if is_leaf else "BRANCH_LT", max(yes, 0), max(no, 0))
            for key, value in zip(columns, row):
                columns[key].append(value)
            tracks.append(int(missing_is_yes))
            covers.append(float(np.float32(cover)))
            if is_leaf:
                for key, value in zip(leaves, (tree_id, node_id, 0, leaf)):
                    leaves[key].append(value)
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["inputs"],
        ["margin"],
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        base_values=[model.base],
        n_targets=1,
        nodes_hitrates=covers,
        nodes_missing_value_tracks_true=tracks,
        post_transform="NONE",
        **{f"nodes_{key}": value for key, value in columns.items()},
        **{f"target_{key}": value for key, value in leaves.items()},
    )
    graph = helper.make_graph(
        [trees, helper.make_node("Sigmoid", ["margin"], ["probability"])],
        name,
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["batch", len(model.names)])],
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["batch", 1]) for one in ("margin", "probability")],
    )
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, producer_name="firewatch", opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)


def newest(model):
    """Folder of a model's highest version, which is the one that is trained; older versions stay as they were, for the decisions that name them."""
    versions = [one for one in (Path(__file__).parents[1] / model).iterdir() if one.is_dir()]
    return max(versions, key=lambda one: tuple(int(part) for part in one.name.split(".")))


def features_of(folder):
    """Names of the inputs, in order, from the manifest of a model folder; the training table has a column for each."""
    return [feature["name"] for feature in json.loads((Path(folder) / "manifest.json").read_text())["features"]]


def write_model(folder, model, bands=None):
    """Writes model.onnx into a folder whose manifest.json stands, then its hash and the thresholds (`band name -> probability`) into that."""
    folder = Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    names = [feature["name"] for feature in manifest["features"]]
    if names != list(model.names):
        raise ValueError(f"{folder}: the manifest's features are not the model's, or not in its order.")
    made = onnx_bytes(model, manifest["id"])
    (folder / "model.onnx").write_bytes(made)
    manifest["sha256"] = hashlib.sha256(made).hexdigest()
    for band in manifest["bands"]:
        if bands is not None and band["name"] in bands:
            band["from"] = bands[band["name"]]
    write_json(folder / "manifest.json", manifest)
    return len(made)


def write_json(path, value):
    """JSON as the repository keeps it: two spaces, a last newline, no NaN."""
    Path(path).write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
