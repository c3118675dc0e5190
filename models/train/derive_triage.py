"""Emergency visits -> models/train/data/triage-*.csv.gz: one row a visit, inputs as a FHIR server sees them on arrival.

`/usr/bin/python3 models/train/derive_triage.py NHAMCS_CSV KTAS_CSV`: the NHAMCS 2015-2020 extract (visits.csv.gz) and the KTAS table (ktas.csv);
see models/train/data/TRIAGE.md for their sources and licences. Complaints become inputs by models/complaints.json, with the server's own reader for free text.
Adults only. Splits are fixed by a seed: a tenth of the visits is `test` and never read in training.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from trees import newest

HERE = Path(__file__).parent
MODELS = HERE.parent
SEED = 23
TEST_SHARE = 0.1
# Share of the training visits that are read without their complaint, so that the model knows what to do without one.
WITHHELD = 0.04

COMPLAINTS = json.loads((MODELS / "complaints.json").read_text())
LEVEL = {"life-saving": 2, "high-risk": 1, "routine": 0}
ACUITY = {row["category"]: LEVEL[row["acuity"]] for row in COMPLAINTS["categories"] + COMPLAINTS["combinations"]}
OF_REASON = {code: row["category"] for row in COMPLAINTS["categories"] for code in row["rfv"]}


def features(model):
    return json.loads((newest(model) / "manifest.json").read_text())["features"]


def number(column, low, high, scale=1.0):
    """Values within the plausible range; negative and coded values are missing."""
    values = pd.to_numeric(column, errors="coerce") / scale
    return values.where((values >= low) & (values <= high))


def complaint_columns(model, found):
    """Columns of the manifest's complaint inputs. `found`: a set of categories a visit, or None where nothing is understood."""
    columns = {}
    for spec in features(model):
        if spec["kind"] == "complaint":
            columns[spec["name"]] = [max((ACUITY[one] for one in row or ()), default=0) for row in found]
        elif spec["kind"] == "complains-of":
            wanted = set(spec["codes"])
            columns[spec["name"]] = [np.nan if row is None else float(bool(row & wanted)) for row in found]
    return columns


def finished(model, table, found, rng, again=False):
    """The table with complaint inputs, split and columns in order. `again`: a visit whose complaint is withheld stands there twice, with it and without."""
    split = np.where(rng.random(len(table)) < TEST_SHARE, "test", "train")
    withheld = (split == "train") & (rng.random(len(table)) < WITHHELD)
    table = table.assign(split=split)
    if again:
        found = found + [None] * int(withheld.sum())
        table = pd.concat([table.assign(complaint="stated"), table[withheld].assign(complaint="withheld")], ignore_index=True)
    else:
        found = [None if hide else row for row, hide in zip(found, withheld)]
    table = table.assign(**complaint_columns(model, found))
    table["shockIndex"] = table.pulse / table.systolic
    names = [spec["name"] for spec in features(model)]
    keys = [name for name in ("visit", "complaint", "year", "text", "categories") if name in table]
    return table[keys + names + ["split", "label"]]


def critical_care(path):
    raw = pd.read_csv(path)
    raw = raw[raw.AGE >= 18].reset_index(drop=True)
    chronic = number(raw.TOTCHRON, 0, 30)
    reason = number(raw.RFV1, 1, 99999).fillna(0).astype(int).astype(str)
    found = [None if code == "0" else {OF_REASON.get(code) or OF_REASON.get(code[:4])} - {None} for code in reason]
    table = pd.DataFrame(
        {
            "visit": np.arange(len(raw)),
            "year": raw.year,
            "age": raw.AGE,
            "sex": (raw.SEX == 1).astype(int),
            "ambulance": (raw.ARREMS == 1).astype(int),
            "temperature": ((number(raw.TEMPF, 800, 1110) / 10 - 32) / 1.8).round(1),
            "pulse": number(raw.PULSE, 20, 300),
            "systolic": number(raw.BPSYS, 30, 300),
            "diastolic": number(raw.BPDIAS, 10, 200),
            "respiratoryRate": number(raw.RESPR, 3, 80),
            "spo2": number(raw.POPCT, 40, 100),
            "chronicConditions": chronic.where(raw.NOCHRON != 1, 0).fillna(0).astype(int),
            "label": raw.critical_care_admission,
        }
    )
    return finished("triage-critical-care", table, found, np.random.default_rng(SEED))


ACVPU = {1: 0, 2: 2, 3: 3, 4: 4}


def texts_of(raw):
    """The written complaints on one line each."""
    return [" ".join(str(text).split()) for text in raw.Chief_complain]


def high_acuity(path):
    raw = pd.read_csv(path)
    raw = raw[raw.Age >= 18].reset_index(drop=True)
    texts = texts_of(raw)
    reader = subprocess.run(["node", HERE / "complaint-categories.ts"], input="\n".join(texts) + "\n", text=True, capture_output=True, check=True)
    categories = reader.stdout.splitlines()
    found = [None if row == "?" else set(row.split()) for row in categories]
    pain = number(raw.NRS_pain, 0, 10).where(raw.Pain != 0, 0)
    table = pd.DataFrame(
        {
            "visit": raw.row,
            "text": [text.replace("%", "%25").replace(",", "%2C") for text in texts],
            "categories": categories,
            "age": raw.Age,
            "sex": (raw.Sex == 1).astype(int),
            "ambulance": raw["Arrival mode"].isin([2, 4]).astype(int),
            "privateAmbulance": (raw["Arrival mode"] == 4).astype(int),
            "consciousness": raw.Mental.map(ACVPU),
            "pain": pain,
            "temperature": number(raw.BT, 24, 44).round(1),
            "pulse": number(raw.HR, 20, 300),
            "systolic": number(raw.SBP, 30, 300),
            "diastolic": number(raw.DBP, 10, 200),
            "respiratoryRate": number(raw.RR, 3, 80),
            "spo2": number(raw.Saturation, 40, 100),
            "label": (raw.KTAS_expert <= 2).astype(int),
        }
    )
    return finished("triage-high-acuity", table, found, np.random.default_rng(SEED), again=True)


def write(model, table):
    target = HERE / "data" / f"{model}.csv.gz"
    table.to_csv(target, index=False, float_format="%.6g", compression={"method": "gzip", "mtime": 0, "compresslevel": 9})
    print(f"{model}: {len(table)} rows, {table.label.sum()} cases, {target.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: derive_triage.py NHAMCS_CSV KTAS_CSV")
    write("triage-critical-care", critical_care(sys.argv[1]))
    write("triage-high-acuity", high_acuity(sys.argv[2]))
