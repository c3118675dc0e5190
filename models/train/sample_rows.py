"""A few rows of the training tables with the records they were made from: test/risk/cases/training-rows.json.

`/usr/bin/python3 models/train/sample_rows.py EICU_FOLDER PHYSIONET_FOLDER`. The test turns the records into FHIR resources and asks the server
for the same rows.
"""

import json
import sys
from pathlib import Path

import derive_icu
import derive_sepsis
import numpy as np
import pandas as pd

TARGET = Path(__file__).parents[2] / "test" / "risk" / "cases" / "training-rows.json"
EXACT = {"names", "split", "ethnicity", "hospital", "label"}


def row(table, key):
    values = table.loc[key]
    return {name: None if pd.isna(value) else float(f"{value:.9g}") for name, value in values.items() if name not in EXACT}


def sepsis(folder):
    table = derive_sepsis.derive(folder)
    stays = derive_sepsis.read(folder, "stays")
    stays = stays[stays.patientunitstayid.isin(table.index)]
    long = derive_sepsis.records(folder, stays)
    cuff = derive_sepsis.read(folder, "vital_aperiodic")
    cuff = cuff[(cuff.observationoffset <= derive_sepsis.SIX_HOURS) & (cuff.observationoffset > derive_sepsis.SIX_HOURS - derive_sepsis.DAY)]
    rich = table[(table.antibiotics > 1) & (table.infections > 0)].index[:3].tolist()
    bled = table[(table.bleeding > 0) | (table.fromTheatre > 0)].index[:2].tolist()
    for key in rich + bled + table.index[table.ph.notna()][:2].tolist():
        own = long[long.patientunitstayid == key]
        yield {
            "key": int(key),
            "row": row(table, key),
            "records": own[["type", "text", "code"]].values.tolist(),
            "pressures": [
                [int(one.observationoffset), *(None if pd.isna(value) else float(value) for value in (one.noninvasivesystolic, one.noninvasivediastolic))]
                for one in cuff[cuff.patientunitstayid == key].itertuples()
            ],
        }


def icu(folder, hours):
    long = pd.read_csv(Path(folder) / "records_long.csv.gz")
    table = derive_icu.derive(folder, hours)
    code_of = {name: (code, factor) for code, (names, factor) in derive_icu.PARAMETERS.items() for name in names.split()}
    for key in table.index[[5, 60]]:
        own = long[(long.RecordID == key) & (long.minute <= hours * 60)]
        yield {
            "key": int(key),
            "row": row(table, key),
            "readings": [
                [int(one.minute), code_of[one.parameter][0], float(np.round(one.value * code_of[one.parameter][1], 6))]
                for one in own.itertuples()
                if one.parameter in code_of and one.value != -1
            ],
            "ventilated": [int(one.minute) for one in own.itertuples() if one.parameter == "MechVent"],
        }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: sample_rows.py EICU_FOLDER PHYSIONET_FOLDER")
    made = {
        "about": [
            "Records of a few de-identified research stays and the row of the training table made from each; models/train/sample_rows.py.",
            "sepsis: contains information from the eICU Collaborative Research Database Demo 2.0.1, made available under the Open Database License 1.0.",
            "icu24, icu48: contain information from PhysioNet/CinC Challenge 2012 (Open Data Commons Attribution License 1.0).",
        ],
        "sepsis": list(sepsis(sys.argv[1])),
        "icu24": list(icu(sys.argv[2], 24)),
        "icu48": list(icu(sys.argv[2], 48)),
    }
    TARGET.write_text(json.dumps(made, separators=(",", ":")) + "\n")
    print(f"{TARGET.stat().st_size} bytes")
