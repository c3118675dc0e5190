"""Inputs of the ICU mortality models: `/usr/bin/python3 models/train/icu_inputs.py` writes them into both manifests.

What is measured (codes, unit, plausible range) is read from the rows that end in `Last` and stays as it is there. Vital signs are summarised over
the whole course and over spans of it, laboratory results by extremes and change. Ratios are taken reading by reading. No count of readings is an
input: how often something is charted is a habit of a place, and added nothing held out.
"""

import json
from trees import newest, write_json

VITALS = "heartRate respiratoryRate temperature systolic diastolic meanPressure saturation fio2 comaScore".split()
RARE = "troponinI troponinT".split()
WORDS = {
    "last": "latest",
    "first": "first",
    "min": "lowest",
    "max": "highest",
    "mean": "mean",
    "trend": "trend",
    "sd": "spread",
    "median": "median",
    "change": "change",
    "sum": "total",
    "share-below": "share of readings below 9",
}
SHOCK = {"codes": ["8480-6", "76534-7", "76215-3"], "hours": 0, "unit": "mm[Hg]", "range": [30, 300]}
INSPIRED = {"codes": ["3150-6", "19994-3"], "hours": 8, "unit": "%", "range": [21, 100]}
CREATININE = {"codes": ["2160-0", "38483-4", "14682-9"], "hours": 1, "unit": "mg/dL", "range": [0.05, 30]}
MASS = {"codes": ["29463-7", "3141-9"], "hours": 8760, "unit": "kg", "range": [25, 300]}


def spans(hours):
    """Parts of the course as (from, until) hours before the instant; the last 12 h are inputs of their own."""
    ends = [0, 6, 12, 24, 36]
    inner = [(hours - low, hours - high) for low, high in zip(ends, ends[1:]) if high <= hours]
    return inner + ([(hours, hours - 24)] if hours > 24 else [(hours, hours - 12)])


class Rows:
    def __init__(self, manifest, hours):
        self.hours = hours
        self.old = {row["name"]: row for row in manifest["features"]}
        self.found = []

    def add(self, measured, suffix, kind, *, window=None, until=None, stem=None, display=None, **extra):
        """`measured`: name whose `Last` row says what is measured, or the name of a row itself."""
        base = dict(self.old.get(f"{measured}Last") or self.old[measured])
        window = window or self.hours
        words = display or base["display"].split(",")[0]
        when = f"{window} to {until} h before" if until else f"{window} h"
        row = {"name": f"{stem or measured}{suffix}", "display": f"{words}, {WORDS[kind]} of {when}", "kind": "aggregate", "codes": base["codes"], "unit": base["unit"]}
        row |= {"windowHours": window} | ({"untilHours": until} if until else {}) | {"range": base["range"], "aggregate": kind}
        row |= {key: base[key] for key in ("parts", "analyte") if key in base} | extra | {"required": False}
        self.found.append(row)

    def keep(self, *names):
        self.found += [self.old[name] for name in names]


def inputs(manifest, hours):
    rows = Rows(manifest, hours)
    rows.keep("age", "sex", "coronaryCare", "cardiacSurgery", "medicalUnit", "surgicalUnit", "height", "weight")
    rows.add("weight", "Change", "change", window=72)
    measured = [name.removesuffix("Last") for name in rows.old if name.endswith("Last") and name not in ("shockIndexLast", "oxygenRatioLast", "ureaRatioLast")]
    for name in measured:
        if name in RARE:
            for kind in ("last", "max"):
                rows.add(name, kind.capitalize(), kind)
            continue
        for kind in ("last", "min", "max", "mean", "first"):
            rows.add(name, kind.capitalize(), kind)
        if name not in VITALS:
            rows.add(name, "Change", "change")
            continue
        for kind in ("trend", "sd", "median"):
            rows.add(name, kind.capitalize(), kind)
        for kind in ("mean", "min", "max"):
            rows.add(name, f"{kind.capitalize()}12", kind, window=12)
        rows.add(name, "Mean6", "mean", window=6)
        for start, until in spans(hours):
            rows.add(name, f"Mean{start}to{until}", "mean", window=start, until=until)
    rows.add("comaScore", "Share", "share-below", stem="comaBelow9", **{"from": 9})
    for kind in ("last", "max", "mean"):
        rows.add("heartRate", kind.capitalize(), kind, stem="shockIndex", display="Shock index", pair=SHOCK)
    for kind in ("last", "min", "mean"):
        rows.add("pao2", kind.capitalize(), kind, stem="oxygenRatio", display="PaO2 over FiO2", pair=INSPIRED)
    rows.add("ureaNitrogen", "Last", "last", stem="ureaRatio", display="Urea nitrogen over creatinine", pair=CREATININE)
    rows.keep("urineTotal")
    for window in (6, 12, 24) if hours > 24 else (6, 12):
        rows.add("urineTotal", f"{window}", "sum", window=window)
    for start, until in spans(hours):
        rows.add("urineTotal", f"{start}to{until}", "sum", window=start, until=until)
    for window in (hours, 12):
        rows.add("urineTotal", f"{window}", "sum", window=window, stem="urinePerWeight", display="Urine output for each kg", pair=MASS)
    rows.keep("ventilated", "ventilatedLately")
    for window in (12, 24) if hours > 24 else (12,):
        rows.found.append({**rows.old["ventilated"], "name": f"ventilated{window}", "display": f"Mechanical ventilation in the last {window} h", "windowHours": window})
    return rows.found


if __name__ == "__main__":
    for hours in (24, 48):
        path = newest(f"icu-mortality-{hours}h") / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["features"] = inputs(manifest, hours)
        write_json(path, manifest)
        print(f"{hours} h: {len(manifest['features'])} inputs")
