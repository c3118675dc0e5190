"""eICU demo tables -> models/train/data/sepsis-icu.csv.gz: one row a unit stay, inputs as a FHIR server sees them six hours after ICU admission.

`/usr/bin/python3 models/train/derive_sepsis.py FOLDER`, FOLDER being the eICU demo 2.0.1 as CSV (see models/train/data/README.md).
Only what was recorded by then counts, with one exception that the model card names: the first-day worst values of APACHE, of which the
extract has one each and no time. Records that name sepsis or septic shock, as words or codes, are never read: they are the label.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from records import CONCEPTS, kinds

SIX_HOURS = 360
DAY = 24 * 60

# manifest feature -> (column, plausible range) of the APACHE first-day worst values
WORST = {
    "temperature": ("temperature", 24, 44),
    "respiratoryRate": ("respiratoryrate", 3, 80),
    "heartRate": ("heartrate", 20, 300),
    "meanPressure": ("meanbp", 20, 220),
    "leukocytes": ("wbc", 0, 500),
    "sodium": ("sodium", 95, 200),
    "ph": ("ph", 6.6, 7.9),
    "haematocrit": ("hematocrit", 5, 75),
    "creatinine": ("creatinine", 0.05, 30),
    "albumin": ("albumin", 0.5, 7),
    "pao2": ("pao2", 20, 700),
    "paco2": ("pco2", 8, 200),
    "ureaNitrogen": ("bun", 1, 300),
    "glucose": ("glucose", 10, 2000),
    "bilirubin": ("bilirubin", 0.05, 60),
    "fio2": ("fio2", 21, 100),
    "urine24h": ("urine", 0, 20000),
}
# manifest feature -> (concept, record types, 'any' or 'kinds')
ORDER, GIVEN, SERVICE, SPECIMEN, CONDITION, ENCOUNTER = "order", "given", "service", "specimen", "condition", "encounter"
COUNTS = {
    "antibiotics": ("systemic-antibiotic", (ORDER, GIVEN, SERVICE), "kinds"),
    "broadAntibiotics": ("broad-spectrum-antibiotic", (ORDER, GIVEN, SERVICE), "kinds"),
    "cultures": ("culture", (SERVICE, SPECIMEN), "kinds"),
    "vasopressors": ("vasopressor", (ORDER, GIVEN, SERVICE), "kinds"),
    "ventilation": ("ventilation", (SERVICE,), "any"),
    "noninvasiveVentilation": ("noninvasive-ventilation", (SERVICE,), "any"),
    "fluidBolus": ("fluid-bolus", (ORDER, SERVICE), "any"),
    "steroid": ("stress-dose-steroid", (ORDER, GIVEN, SERVICE), "any"),
    "cardiacDrugs": ("cardiac-drug", (ORDER, GIVEN, SERVICE), "kinds"),
    "insulinInfusion": ("insulin-infusion", (ORDER, GIVEN), "any"),
    "acetaminophen": ("acetaminophen", (ORDER, SERVICE), "any"),
    "sedation": ("analgesic-sedative", (ORDER, GIVEN), "kinds"),
    "infections": ("infection", (CONDITION,), "kinds"),
    "pulmonaryInfection": ("pulmonary-infection", (CONDITION,), "any"),
    "urinaryInfection": ("urinary-infection", (CONDITION,), "any"),
    "abdominalInfection": ("abdominal-infection", (CONDITION,), "any"),
    "skinInfection": ("skin-infection", (CONDITION,), "any"),
    **{
        name: (concept, (CONDITION,), "any")
        for name, concept in {
            "feverProblem": "fever-or-leukocytosis",
            "hypotension": "hypotension",
            "cardiacDisorder": "cardiac-disorder",
            "neurologicalDisorder": "neurological-disorder",
            "bleeding": "bleeding",
            "ketoacidosis": "ketoacidosis",
            "intoxication": "intoxication",
            "kidneyInjury": "kidney-injury",
            "lacticAcidosis": "lactic-acidosis",
            "alteredMentalState": "altered-mental-state",
            "airwayDisease": "airway-disease",
            "postoperative": "postoperative",
            "immunocompromise": "immunocompromise",
            "cirrhosis": "cirrhosis",
        }.items()
    },
    "fromTheatre": ("operating-theatre", (ENCOUNTER,), "any"),
}
COMORBIDITIES = {
    "aids": "AIDS",
    "leukemia": "leukemia",
    "lymphoma": "lymphoma",
    "immunosuppression": "immunosuppression",
    "metastaticcancer": "metastatic cancer",
    "cirrhosis": "cirrhosis",
    "hepaticfailure": "hepatic failure",
}


def read(folder, name):
    return pd.read_csv(Path(folder) / f"{name}.csv.gz", low_memory=False)


def records(folder, stays, fill=True):
    """Long table (stay, type, text, code) of what was known six hours after ICU admission."""
    orders = read(folder, "medications")
    text = orders.drugname
    if fill:  # Names that the extract left out are restored from its own ingredient code: a FHIR order has a name.
        named = orders.dropna(subset=["drugname", "drughiclseqno"]).groupby("drughiclseqno").drugname
        text = text.fillna(orders.drughiclseqno.map(named.agg(lambda names: names.value_counts().sort_index().idxmax())))
    orders = orders.assign(text=text)[orders.drugordercancelled.ne("Yes") & orders.drugorderoffset.le(SIX_HOURS) & orders.drugorderoffset.gt(SIX_HOURS - 2 * DAY)]
    given = read(folder, "infusions").query("infusionoffset <= @SIX_HOURS").assign(text=lambda rows: rows.drugname)
    service = read(folder, "treatments").query("treatmentoffset <= @SIX_HOURS").assign(text=lambda rows: rows.treatmentstring)
    service = service[~service.text.str.contains("sepsis|septic", case=False)]
    problems = read(folder, "diagnoses").query("diagnosisoffset <= @SIX_HOURS")
    problems = problems.assign(text=problems.diagnosisstring, code=problems.icd9code)
    specimens = read(folder, "microlab").query("culturetakenoffset <= @SIX_HOURS")
    specimens = specimens.assign(text="culture, " + specimens.culturesite)
    vent = stays[(stays.vent == 1) | (stays.intubated == 1)].assign(text="mechanical ventilation")
    source = stays.assign(text=stays.unitadmitsource)
    comorbid = [stays[stays[column] == 1].assign(text=text) for column, text in COMORBIDITIES.items()]
    typed = [(ORDER, orders), (GIVEN, given), (SERVICE, service), (SERVICE, vent), (CONDITION, problems), (SPECIMEN, specimens), (ENCOUNTER, source)]
    typed += [(CONDITION, rows) for rows in comorbid]
    columns = ["patientunitstayid", "text", "code"]
    long = pd.concat([rows.reindex(columns=columns).assign(type=kind) for kind, rows in typed])
    long = long[long.text.notna() & long.patientunitstayid.isin(stays.patientunitstayid)]
    return long.assign(code=long.code.fillna("")).drop_duplicates()


def pressures(folder):
    """Cuff pressures of (admission - 18 h, admission + 6 h]."""
    cuff = read(folder, "vital_aperiodic")
    cuff = cuff[(cuff.observationoffset <= SIX_HOURS) & (cuff.observationoffset > SIX_HOURS - DAY)]
    found = {}
    for name, column, low, high in [("systolic", "noninvasivesystolic", 30, 300), ("diastolic", "noninvasivediastolic", 10, 200)]:
        usable = cuff[cuff[column].between(low, high)].sort_values(["patientunitstayid", "observationoffset", column]).groupby("patientunitstayid")[column]
        found |= {f"{name}Last": usable.last(), f"{name}Min": usable.min(), f"{name}Max": usable.max(), f"{name}Mean": usable.mean()}
    return pd.DataFrame(found).drop(columns=["diastolicMax"])


def counts(long):
    """One column for each row of COUNTS, by stay."""
    found = {}
    for name, (concept, types, how) in COUNTS.items():
        rows = long[long.type.isin(types)]
        sets = [(stay, kinds(concept, text, code)) for stay, text, code in zip(rows.patientunitstayid, rows.text, rows.code)]
        by_stay = {}
        for stay, named in sets:
            by_stay.setdefault(stay, set()).update(named)
        found[name] = {stay: len(named) if how == "kinds" else int(bool(named)) for stay, named in by_stay.items()}
    return pd.DataFrame({name: pd.Series(values, dtype=float) for name, values in found.items()})


def is_test(hospital):
    """The final split, used once: a sixth of the hospitals, chosen by the hash of their number."""
    return int(hashlib.sha256(f"firewatch-sepsis:{hospital}".encode()).hexdigest()[:8], 16) % 6 == 0


def derive(folder, fill=True):
    stays = read(folder, "stays")
    stays = stays[stays.apacheadmissiondx.notna()].sort_values("patientunitstayid")
    by_stay = stays.set_index("patientunitstayid", drop=False)
    table = pd.DataFrame({"hospital": by_stay.hospitalid, "split": by_stay.hospitalid.map(lambda one: "test" if is_test(one) else "train"), "label": by_stay.sepsis_admission_dx.astype(int)})
    table["ethnicity"] = by_stay.ethnicity.fillna("unknown")
    table["age"] = pd.to_numeric(by_stay.age.replace("> 89", 90), errors="coerce")
    table["sex"] = by_stay.gender.map({"Male": 0, "Female": 1})
    for name, (column, low, high) in WORST.items():
        table[name] = by_stay[column].where(by_stay[column].between(low, high))
    parts = by_stay[["eyes", "motor", "verbal"]].where(lambda values: values > 0)
    table["comaScore"] = parts.sum(axis=1, min_count=3)
    table = table.join(pressures(folder))
    table = table.join(counts(records(folder, stays, fill)))
    table[list(COUNTS)] = table[list(COUNTS)].fillna(0)
    return table[table.age >= 18]


def both(folder):
    """Each stay twice: order names as the extract has them, and with the names that it left out restored."""
    recorded, restored = derive(folder, fill=False), derive(folder, fill=True)
    recorded.insert(2, "names", "recorded")
    restored.insert(2, "names", "restored")
    return pd.concat([recorded, restored])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: derive_sepsis.py FOLDER (the eICU demo tables)")
    made = both(sys.argv[1])
    target = Path(__file__).parent / "data" / "sepsis-icu.csv.gz"
    made.to_csv(target, float_format="%.9g", compression={"method": "gzip", "mtime": 0, "compresslevel": 9})
    print(f"{len(made)} rows, {made.hospital.nunique()} hospitals, {made.label.sum()} with the label; test {int((made.split == 'test').sum())}")
