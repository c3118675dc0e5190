"""PhysioNet/CinC Challenge 2012, sets A and B -> models/train/data/icu-mortality-{24,48}h.csv.gz: one row a stay, one column an input.

`/usr/bin/python3 models/train/derive_icu.py FOLDER`, FOLDER holding records_long.csv.gz and outcomes.csv (see models/train/data/README.md).
The columns are what the manifests say: codes, window, plausible range and aggregate are read from there, so that a server computes the
same number from the same measurements. The instant judged at is 24 or 48 h after admission; a window is (at - hours, at].
Training stays of the 24 h model stand there again as they were 32 h after admission (`also` 1): the model answers from 24 to 48 h, is
judged at 24 h, and learns from both. `days`: until death, in hospital or later, or minus the days followed; an outcome, never an input.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from trees import newest

MODELS = Path(__file__).parents[1]
# Primary LOINC code of an input -> parameters of the data set, and the factor to the input's unit.
PARAMETERS = {
    "8310-5": ("Temp", 1),
    "9279-1": ("RespRate", 1),
    "8867-4": ("HR", 1),
    "8480-6": ("SysABP NISysABP", 1),
    "8462-4": ("DiasABP NIDiasABP", 1),
    "8478-0": ("MAP NIMAP", 1),
    "2708-6": ("SaO2", 1),
    "3150-6": ("FiO2", 100),
    "9269-2": ("GCS", 1),
    "6690-2": ("WBC", 1),
    "2951-2": ("Na", 1),
    "2823-3": ("K", 1),
    "1963-8": ("HCO3", 1),
    "2744-1": ("pH", 1),
    "4544-3": ("HCT", 1),
    "777-3": ("Platelets", 1),
    "2160-0": ("Creatinine", 1),
    "3094-0": ("BUN", 1),
    "1751-7": ("Albumin", 1),
    "1975-2": ("Bilirubin", 1),
    "2703-7": ("PaO2", 1),
    "2019-8": ("PaCO2", 1),
    "2345-7": ("Glucose", 1),
    "2524-7": ("Lactate", 1),
    "19123-9": ("Mg", 1),
    "1920-8": ("AST", 1),
    "1742-6": ("ALT", 1),
    "6768-6": ("ALP", 1),
    "10839-9": ("TroponinI", 1),
    "6598-7": ("TroponinT", 1),
    "9187-6": ("Urine", 1),
    "8302-2": ("Height", 1),
    "29463-7": ("Weight", 1),
}
# Hours of the model -> later instant that is learned from beside it.
ALSO = {24: 32}
# Deaths after discharge are known for seven years; whoever has none recorded is taken as alive so long.
FOLLOWED = 3000
UNITS = {"coronaryCare": 1, "cardiacSurgery": 2, "medicalUnit": 3, "surgicalUnit": 4}


def slope(rows):
    """Least-squares slope an hour of each stay; NaN for readings at a single instant."""
    hours = rows.minute / 60
    by_stay = rows.assign(hours=hours - hours.groupby(rows.RecordID).transform("mean"))
    by_stay["value"] -= by_stay.groupby("RecordID").value.transform("mean")
    sums = by_stay.assign(spread=by_stay.hours**2, together=by_stay.hours * by_stay.value).groupby("RecordID")[["spread", "together"]].sum()
    many = rows.groupby("RecordID").minute.nunique() > 1
    return (sums.together / sums.spread).where(many)


FOLDS = {
    "min": lambda rows: rows.groupby("RecordID").value.min(),
    "max": lambda rows: rows.groupby("RecordID").value.max(),
    "mean": lambda rows: rows.groupby("RecordID").value.mean(),
    "first": lambda rows: rows.groupby("RecordID").value.first(),
    "last": lambda rows: rows.groupby("RecordID").value.last(),
    "sum": lambda rows: rows.groupby("RecordID").value.sum(),
    "trend": slope,
    "sd": lambda rows: rows.groupby("RecordID").value.std(),
    "median": lambda rows: rows.groupby("RecordID").value.median(),
    "change": lambda rows: rows.groupby("RecordID").value.last() - rows.groupby("RecordID").value.first(),
}


def series(long, codes, limits, hours):
    """Usable readings up to the instant, oldest first, at one minute the lower value first."""
    names, factor = PARAMETERS[codes[0]]
    low, high = limits
    rows = long[long.parameter.isin(names.split()) & (long.minute <= hours * 60)]
    rows = rows.assign(value=(rows.value * factor).round(6))
    return rows[rows.value.between(low, high)].sort_values(["RecordID", "minute", "value"])


def over(rows, below, hours):
    """Each reading over the latest of `below` at most so many hours before it, at one minute the highest."""
    below = below[["RecordID", "minute", "value"]].sort_values(["minute", "value"])
    pairs = pd.merge_asof(rows.sort_values(["minute", "value"]), below, on="minute", by="RecordID", tolerance=int(hours * 60), suffixes=("", "_below"))
    pairs = pairs[pairs.value_below.notna() & (pairs.value_below != 0)]
    return pairs.assign(value=pairs.value / pairs.value_below).sort_values(["RecordID", "minute"], kind="stable")


def columns(long, static, manifest, hours):
    ventilated = long[long.parameter == "MechVent"]
    cache = {}
    for feature in manifest["features"]:
        name = feature["name"]
        after = (hours - feature.get("windowHours", 0)) * 60
        if name == "age":
            yield name, static.Age
        elif name == "sex":
            yield name, static.Gender.map({1: 0, 0: 1})
        elif name in UNITS:
            yield name, (static.ICUType == UNITS[name]).astype(int)
        elif feature["kind"] == "record-count":
            rows = ventilated[(ventilated.minute <= hours * 60) & (ventilated.minute > after)]
            yield name, pd.Series(1, index=rows.RecordID.unique()).reindex(static.index).fillna(0).astype(int)
        else:
            pair = feature.get("pair")
            key = (feature["codes"][0], pair and pair["codes"][0])
            if key not in cache:
                rows = series(long, feature["codes"], feature["range"], hours)
                cache[key] = rows if pair is None else over(rows, series(long, pair["codes"], pair["range"], hours), pair["hours"])
            rows = cache[key]
            rows = rows[(rows.minute > after) & (rows.minute <= (hours - feature.get("untilHours", 0)) * 60)]
            if feature["aggregate"] == "share-below":
                yield name, (rows.value < feature["from"]).groupby(rows.RecordID).mean()
            else:
                yield name, FOLDS[feature["aggregate"]](rows)


def is_test(record):
    """The final split, used once: an eighth of the stays, chosen by the hash of their number."""
    return int(hashlib.sha256(f"firewatch-icu-mortality:{record}".encode()).hexdigest()[:8], 16) % 8 == 0


def days(outcomes):
    """Until death after admission; minus the days followed for those without one."""
    died = outcomes["In-hospital_death"] == 1
    known = outcomes.Survival.where(outcomes.Survival > 0, outcomes.Length_of_stay.clip(lower=1))
    return known.where(died | (outcomes.Survival >= 0), -FOLLOWED).clip(lower=-FOLLOWED).mask(lambda one: (one >= 0) & (one < 0.5), 0.5)


def derive(folder, hours, at=None):
    """`at`: hours after admission that the inputs are of, where it is not the model's own instant."""
    long = pd.read_csv(Path(folder) / "records_long.csv.gz")
    outcomes = pd.read_csv(Path(folder) / "outcomes.csv").set_index("RecordID").sort_index()
    manifest = json.loads((newest(f"icu-mortality-{hours}h") / "manifest.json").read_text())
    static = long[long.minute == 0].drop_duplicates(["RecordID", "parameter"]).pivot(index="RecordID", columns="parameter", values="value")
    # Minute 0 of the data set is admission itself: weight and height are taken from there, and again when weighed.
    table = pd.DataFrame({"split": ["test" if is_test(one) else "train" for one in outcomes.index], "label": outcomes["In-hospital_death"]})
    table = table.assign(days=days(outcomes), also=0 if at is None else 1)
    since = long if at is None else long.assign(minute=long.minute - (at - hours) * 60)
    table = table.join(pd.DataFrame(dict(columns(since, static.reindex(outcomes.index), manifest, hours))))
    return table[table.age >= 18]


def everything(folder, hours):
    """The stays at the model's instant, and those of training again at the later one."""
    table = derive(folder, hours)
    if hours not in ALSO:
        return table.drop(columns="also")
    later = derive(folder, hours, ALSO[hours])
    return pd.concat([table, later[later.split == "train"]])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: derive_icu.py FOLDER (records_long.csv.gz and outcomes.csv)")
    for window in (24, 48):
        made = everything(sys.argv[1], window)
        target = Path(__file__).parent / "data" / f"icu-mortality-{window}h.csv.gz"
        made.to_csv(target, float_format="%.4g", compression={"method": "gzip", "mtime": 0, "compresslevel": 9})
        print(f"{window} h: {len(made)} rows, {made.label.sum()} deaths; test {int((made.split == 'test').sum())}; {target.stat().st_size} bytes")
