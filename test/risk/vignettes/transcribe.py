"""Writes the boundary cases (test/risk/cases/scores.json) and vignettes (test/risk/vignettes/*.json) of the published scores.

The rules below are transcribed from the publications named beside them, in plain comparisons, and do not read models/scores. A missing
input is None: it adds no points, and the total is then a lower bound. Run: python3 test/risk/vignettes/transcribe.py
"""
import json
import math
import random
from pathlib import Path

HERE = Path(__file__).parent
rng = random.Random(20260301)


def step(value, *ends_and_points):
    """Points of the first end the value does not exceed; the last entry is for the rest. None: missing."""
    if value is None:
        return None
    *rows, rest = ends_and_points
    for end, points in rows:
        if value <= end:
            return points
    return rest


def yes(fact, points):
    return None if fact is None else (points if fact else 0)


def lt(v, limit):
    return None if v is None else v < limit


def gt(v, limit):
    return None if v is None else v > limit


def any_of(*facts):
    if any(f is True for f in facts):
        return True
    return None if any(f is None for f in facts) else False


# RCP 2017
def news2(i):
    s2 = i.get("target") == 1
    on = i.get("oxygen") == "oxygen" if i.get("oxygen") else None
    o2 = i.get("spo2")
    if o2 is None:
        sat = None
    elif not s2:
        sat = 3 if o2 <= 91 else 2 if o2 <= 93 else 1 if o2 <= 95 else 0
    else:
        sat = 3 if o2 <= 83 else 2 if o2 <= 85 else 1 if o2 <= 87 else 0 if o2 <= 92 or not on else 1 if o2 <= 94 else 2 if o2 <= 96 else 3
    return {
        "respiratoryRate": step(i.get("respiratoryRate"), (8, 3), (11, 1), (20, 0), (24, 2), 3),
        "spo2": sat,
        "oxygen": None if on is None else 2 if on else 0,
        "systolicBloodPressure": step(i.get("systolic"), (90, 3), (100, 2), (110, 1), (219, 0), 3),
        "pulse": step(i.get("pulse"), (40, 3), (50, 1), (90, 0), (110, 1), (130, 2), 3),
        "consciousness": None if i.get("acvpu") is None else 0 if i["acvpu"] == "A" else 3,
        "temperature": step(i.get("temperature"), (35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), 2),
    }


# Singer 2016
def qsofa(i):
    return {
        "respiratoryRate": yes(gt(i.get("respiratoryRate"), 21), 1),
        "systolicBloodPressure": yes(lt(i.get("systolic"), 101), 1),
        "consciousness": None if i.get("acvpu") is None else int(i["acvpu"] != "A"),
    }


# Subbe 2001
def mews(i):
    return {
        "systolicBloodPressure": step(i.get("systolic"), (70, 3), (80, 2), (100, 1), (199, 0), 2),
        "pulse": step(i.get("pulse"), (39, 2), (50, 1), (100, 0), (110, 1), (129, 2), 3),
        "respiratoryRate": step(i.get("respiratoryRate"), (8, 2), (14, 0), (20, 1), (29, 2), 3),
        "temperature": step(i.get("temperature"), (34.9, 2), (38.4, 0), 2),
        "consciousness": None if i.get("acvpu") is None else {"A": 0, "C": 1, "V": 1, "P": 2, "U": 3}[i["acvpu"]],
    }


# Olsson 2004
def rems(i):
    return {
        "age": step(i.get("age"), (44, 0), (54, 2), (64, 3), (74, 5), 6),
        "map": step(i.get("map"), (49, 4), (69, 2), (109, 0), (129, 2), (159, 3), 4),
        "pulse": step(i.get("pulse"), (39, 4), (54, 3), (69, 2), (109, 0), (139, 2), (179, 3), 4),
        "respiratoryRate": step(i.get("respiratoryRate"), (5, 4), (9, 2), (11, 1), (24, 0), (34, 1), (49, 3), 4),
        "spo2": step(i.get("spo2"), (74, 4), (85, 3), (89, 1), 0),
        "gcs": step(i.get("gcs"), (4, 4), (7, 3), (10, 2), (13, 1), 0),
    }


# Churpek 2012
def cart(i):
    return {
        "respiratoryRate": step(i.get("respiratoryRate"), (20, 0), (23, 8), (25, 12), (29, 15), 22),
        "pulse": step(i.get("pulse"), (109, 0), (139, 4), 13),
        "diastolicBloodPressure": step(i.get("diastolic"), (34, 13), (39, 6), (49, 4), 0),
        "age": step(i.get("age"), (54, 0), (69, 4), 9),
    }


# Xie 2021
def serp2(i):
    return {
        "age": step(i.get("age"), (29, 0), (49, 9), (79, 13), 17),
        "pulse": step(i.get("pulse"), (59, 3), (69, 0), (94, 3), (109, 6), 10),
        "respiratoryRate": step(i.get("respiratoryRate"), (15, 11), (19, 0), 7),
        "systolicBloodPressure": step(i.get("systolic"), (99, 10), (114, 4), (149, 1), 0),
        "diastolicBloodPressure": step(i.get("diastolic"), (49, 5), (94, 0), 1),
        "spo2": step(i.get("spo2"), (89, 7), (94, 5), 0),
    }


def serp7(i):
    return {
        "age": step(i.get("age"), (29, 0), (49, 10), (79, 17), 21),
        "pulse": step(i.get("pulse"), (59, 2), (69, 0), (94, 4), (109, 8), 12),
        "respiratoryRate": step(i.get("respiratoryRate"), (15, 10), (19, 0), 6),
        "systolicBloodPressure": step(i.get("systolic"), (99, 12), (114, 6), (149, 1), 0),
        "diastolicBloodPressure": step(i.get("diastolic"), (49, 4), (94, 0), 2),
    }


def serp30(i):
    conditions = i.get("conditions", [])
    cancer = 12 if "C78.0" in conditions else 6 if "C50.9" in conditions else 0
    return {
        "age": step(i.get("age"), (29, 0), (49, 8), (79, 14), 19),
        "pulse": step(i.get("pulse"), (59, 1), (69, 0), (94, 2), (109, 6), 9),
        "respiratoryRate": step(i.get("respiratoryRate"), (15, 8), (19, 0), 6),
        "systolicBloodPressure": step(i.get("systolic"), (99, 8), (114, 5), (149, 2), 0),
        "diastolicBloodPressure": step(i.get("diastolic"), (49, 3), (94, 0), 2),
        "cancerStage": cancer,
    }


# Shapiro 2003
def meds(i):
    has = lambda code: code in i.get("conditions", [])
    return {
        "terminalIllness": 6 if i.get("terminal") else 0,
        "tachypnoeaHypoxia": yes(any_of(gt(i.get("respiratoryRate"), 20), lt(i.get("spo2"), 90), i.get("fio2", 21) >= 40), 3),
        "septicShock": 3 if has("R65.21") else 0,
        "platelets": yes(lt(i.get("platelets"), 150), 3),
        "bandForms": yes(gt(i.get("bandForms"), 5), 3),
        "age": yes(gt(i.get("age"), 65), 3),
        "lowerRespiratoryInfection": 2 if has("J18.9") else 0,
        "nursingHome": 2 if has("Z59.3") else 0,
        "consciousness": None if i.get("acvpu") is None else 2 if i["acvpu"] != "A" else 0,
    }


# Moore 2017
def uva(i):
    return {
        "temperature": yes(lt(i.get("temperature"), 36), 2),
        "pulse": yes(gt(i.get("pulse"), 119), 1),
        "respiratoryRate": yes(gt(i.get("respiratoryRate"), 29), 1),
        "systolicBloodPressure": yes(lt(i.get("systolic"), 90), 1),
        "spo2": yes(lt(i.get("spo2"), 92), 2),
        "gcs": yes(lt(i.get("gcs"), 15), 4),
        "hiv": 2 if "B20" in i.get("conditions", []) else 0,
    }


# Vincent 1996, Singer 2016 table 1
def sofa(i):
    vent = bool(i.get("ventilated"))
    if i.get("pao2") is not None and i.get("fio2") is not None:
        pf = math.floor(i["pao2"] * 100 / i["fio2"] + 0.5)
        resp = 4 if pf < 100 and vent else 3 if pf < 200 and vent else 2 if pf < 300 else 1 if pf < 400 else 0
    else:
        resp = None
    d, e, n = i.get("dopamine", 0), i.get("epinephrine", 0), i.get("norepinephrine", 0)
    if d > 15 or e > 0.1 or n > 0.1:
        cv = 4
    elif d > 5 or e > 0 or n > 0:
        cv = 3
    elif d > 0 or i.get("dobutamine", 0) > 0:
        cv = 2
    else:
        cv = yes(lt(i.get("map"), 70), 1)
    p, b, g, c, u = i.get("platelets"), i.get("bilirubin"), i.get("gcs"), i.get("creatinine"), i.get("urine")
    renal = None if c is None else 4 if c >= 5.0 else 3 if c >= 3.5 else 2 if c >= 2.0 else 1 if c >= 1.2 else 0
    if u is not None and renal is not None:
        renal = max(renal, 4 if u < 200 else 3 if u < 500 else 0)
    return {
        "respiration": resp,
        "platelets": None if p is None else 4 if p < 20 else 3 if p < 50 else 2 if p < 100 else 1 if p < 150 else 0,
        "bilirubin": None if b is None else 4 if b >= 12.0 else 3 if b >= 6.0 else 2 if b >= 2.0 else 1 if b >= 1.2 else 0,
        "cardiovascular": cv,
        "gcs": None if g is None else 4 if g < 6 else 3 if g <= 9 else 2 if g <= 12 else 1 if g <= 14 else 0,
        "renal": renal,
    }


# Schlapbach 2024, table
def phoenix(i):
    vent, m = bool(i.get("ventilated")), i["ageMonths"]
    support = vent or i.get("oxygen") == "oxygen"
    pf = math.floor(i["pao2"] * 100 / i["fio2"] + 0.5) if i.get("pao2") is not None else None
    if not support:
        resp = 0
    elif pf is None:
        resp = None
    else:
        resp = 3 if vent and pf < 100 else 2 if vent and pf < 200 else 1 if pf < 400 else 0
    drugs = sum(1 for n in ("norepinephrine", "epinephrine", "dopamine", "dobutamine", "vasopressin", "milrinone") if i.get(n))
    low, high = (17, 30) if m < 1 else (25, 38) if m < 12 else (31, 43) if m < 24 else (32, 44) if m < 60 else (36, 48) if m < 144 else (38, 51)
    p = i.get("map")
    flags = [lt(i.get("platelets"), 100), gt(i.get("inr"), 1.3), gt(i.get("dDimer"), 2), lt(i.get("fibrinogen"), 100)]
    met = sum(1 for f in flags if f)
    coag = 2 if met >= 2 else ("open", met) if None in flags else met
    lactate = i.get("lactate")
    return {
        "respiratory": resp,
        "vasoactives": min(2, drugs),
        "lactate": None if lactate is None else 2 if lactate >= 11 else 1 if lactate >= 5 else 0,
        "map": None if p is None else 2 if p < low else 1 if p <= high else 0,
        "coagulation": coag if not isinstance(coag, tuple) else None if coag[1] == 0 else coag,
        "neurologic": 2 if i.get("fixedPupils") else yes(None if i.get("gcs") is None else i["gcs"] <= 10, 1),
    }


# Pugh 1973
def child_pugh(i):
    b, a, n = i.get("bilirubin"), i.get("albumin"), i.get("inr")
    return {
        "bilirubin": None if b is None else 1 if b < 2 else 2 if b <= 3 else 3,
        "albumin": None if a is None else 1 if a > 3.5 else 2 if a >= 2.8 else 3,
        "inr": None if n is None else 1 if n < 1.7 else 2 if n <= 2.3 else 3,
        "ascites": {None: None, "none": 1, "mild": 2, "severe": 3}[i.get("ascites")],
        "encephalopathy": {None: None, "none": 1, "grade 1": 2, "grade 2": 2, "grade 3": 3, "grade 4": 3}[i.get("encephalopathy")],
    }


MORSE = {"history": (0, 25), "secondaryDiagnosis": (0, 15), "ambulatoryAid": (0, 15, 30), "intravenous": (0, 20), "gait": (0, 10, 20), "mentalStatus": (0, 15)}


# Morse 1989
def morse(i):
    return {name: i.get(name) for name in MORSE}


WEIGHTS = {"I25.2": 1, "I63.9": 1, "I73.9": 1, "E11.9": 1, "I50.9": 2, "E11.21": 2, "J44.9": 2, "C50.9": 2, "F03.90": 3, "M06.9": 3, "B20": 4, "N18.5": 4, "C78.0": 6}


# van Walraven 2010
def lace(i):
    weight = sum(WEIGHTS[c] for c in i.get("conditions", []))
    days, visits = i["stayDays"], i.get("emergencyVisits", 0)
    return {
        "lengthOfStay": days if days <= 3 else 4 if days <= 6 else 5 if days <= 13 else 7,
        "acute": None if i.get("urgent") is None else 3 if i["urgent"] else 0,
        "comorbidity": weight if weight <= 3 else 5,
        "emergencyVisits": min(4, visits),
    }


# Donze 2016
def hospital(i):
    before = i.get("admissions", 0)
    return {
        "haemoglobin": yes(lt(i.get("haemoglobin"), 12), 1),
        "oncology": 2 if i.get("oncology") else 0,
        "sodium": yes(lt(i.get("sodium"), 135), 1),
        "procedures": 1 if i.get("procedures", 0) >= 1 else 0,
        "urgent": None if i.get("urgent") is None else int(i["urgent"]),
        "admissions": 0 if before <= 1 else 2 if before <= 5 else 5,
        "lengthOfStay": 2 if i["stayDays"] >= 5 else 0,
    }


def half_up(value, decimals=0):
    return math.floor(round(value * 10**decimals, 9) + 0.5) / 10**decimals


# Inker 2021
def ckd_epi(i):
    f = i["sex"] == "female"
    k, a = (0.7, -0.241) if f else (0.9, -0.302)
    scr = i["creatinine"]
    return {"egfr": half_up(142 * min(scr / k, 1) ** a * max(scr / k, 1) ** -1.2 * 0.9938 ** i["age"] * (1.012 if f else 1))}


# Cockcroft 1976; ideal weight Devine 1974
def cockcroft(i):
    f = i["sex"] == "female"
    by = lambda kg: half_up((140 - i["age"]) * kg / (72 * i["creatinine"]) * (0.85 if f else 1))
    out = {"clearance": by(i["weight"])}
    if i.get("height", 0) >= 152.4:
        ideal = (45.5 if f else 50) + 2.3 * (i["height"] / 2.54 - 60)
        out |= {"clearanceIdeal": by(ideal), "clearanceAdjusted": by(ideal + 0.4 * (i["weight"] - ideal))}
    return out


# Schwartz 2009
def schwartz(i):
    return {"egfr": half_up(0.413 * i["height"] / i["creatinine"])}


def shock_index(i):
    return {"index": half_up(i["pulse"] / i["systolic"], 2)}


# Acker 2015
def sipa(i):
    limit = 1.22 if i["age"] <= 6 else 1.0 if i["age"] <= 12 else 0.9
    return {"index": half_up(i["pulse"] / i["systolic"], 2), "raised": int(i["pulse"] / i["systolic"] > limit)}


RR = [5, 6, 8, 9, 10, 11, 12, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25, 26, 29, 30, 34, 35, 49, 50]
HR = [39, 40, 41, 50, 51, 54, 55, 59, 60, 69, 70, 90, 91, 94, 95, 100, 101, 109, 110, 111, 119, 120, 129, 130, 131, 139, 140, 179, 180]
SBP = [70, 71, 80, 81, 89, 90, 91, 99, 100, 101, 110, 111, 114, 115, 149, 150, 199, 200, 219, 220]
DBP = [34, 35, 39, 40, 49, 50, 94, 95]
O2 = [74, 75, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98]
T = [34.9, 35.0, 35.1, 35.9, 36.0, 36.1, 38.0, 38.1, 38.4, 38.5, 39.0, 39.1]
AGE = [18, 29, 30, 44, 45, 49, 50, 54, 55, 64, 65, 66, 69, 70, 74, 75, 79, 80]
AGE21 = [a for a in AGE if a >= 21]
MAP = [49, 50, 69, 70, 109, 110, 129, 130, 159, 160]
GCS = list(range(3, 16))
LEVEL = ["A", "C", "V", "P", "U"]
PLT = [19, 20, 49, 50, 99, 100, 149, 150]
BILI = [1.1, 1.2, 1.9, 2.0, 3.0, 3.1, 5.9, 6.0, 11.9, 12.0]
CREA = [0.6, 0.7, 0.9, 1.1, 1.2, 1.9, 2.0, 3.4, 3.5, 4.9, 5.0]
INR = [1.3, 1.4, 1.6, 1.7, 2.3, 2.4]
CONDITIONS = list(WEIGHTS)

# score: (rule, lowest total, values of each input; those in `fixed` are never left out)
ADDITIVE = {
    "news2": (news2, dict(respiratoryRate=RR, spo2=O2, oxygen=["air", "oxygen"], systolic=SBP, pulse=HR, acvpu=LEVEL, temperature=T, target=[0, 1]), {"age": 50}),
    "qsofa": (qsofa, dict(respiratoryRate=RR, systolic=SBP, acvpu=LEVEL), {"age": 50}),
    "mews": (mews, dict(systolic=SBP, pulse=HR, respiratoryRate=RR, temperature=T, acvpu=LEVEL), {"age": 50}),
    "rems": (rems, dict(age=AGE, map=MAP, pulse=HR, respiratoryRate=RR, spo2=O2, gcs=GCS), {}),
    "cart": (cart, dict(respiratoryRate=RR, pulse=HR, diastolic=DBP, age=AGE), {}),
    "serp-2d": (serp2, dict(age=AGE21, pulse=HR, respiratoryRate=RR, systolic=SBP, diastolic=DBP, spo2=O2), {"arrivalHours": 2}),
    "serp-7d": (serp7, dict(age=AGE21, pulse=HR, respiratoryRate=RR, systolic=SBP, diastolic=DBP), {"arrivalHours": 2}),
    "serp-30d": (serp30, dict(age=AGE21, pulse=HR, respiratoryRate=RR, systolic=SBP, diastolic=DBP, conditions=[[], ["C50.9"], ["C78.0"]]), {"arrivalHours": 2}),
    "meds": (meds, dict(respiratoryRate=RR, spo2=O2, platelets=PLT, bandForms=[5.0, 5.1], age=AGE, acvpu=LEVEL, conditions=[[], ["R65.21"], ["J18.9"], ["Z59.3"], ["J18.9", "Z59.3"]], terminal=[False, True], fio2=[21, 39, 40]), {}),
    "uva": (uva, dict(temperature=T, pulse=HR, respiratoryRate=RR, systolic=SBP, spo2=O2, gcs=GCS, conditions=[[], ["B20"]]), {"age": 50}),
    "sofa": (sofa, dict(pao2=[60, 79, 80, 99, 100, 119, 120, 160, 200], platelets=PLT, bilirubin=BILI, map=[69, 70], gcs=GCS, creatinine=CREA, urine=[None, 199, 200, 499, 500], ventilated=[False, True], dopamine=[0, 5, 5.1, 15, 15.1], norepinephrine=[0, 0, 0.05, 0.1, 0.11], dobutamine=[0, 2]), {"age": 50, "fio2": 40}),
    "phoenix": (phoenix, dict(ageMonths=[0, 1, 11, 12, 23, 24, 59, 60, 143, 144, 215], map=[16, 17, 24, 25, 30, 31, 32, 36, 38, 39, 43, 44, 45, 48, 49, 51, 52], pao2=[39, 40, 79, 80, 159, 160], lactate=[4.9, 5.0, 10.9, 11.0], platelets=[99, 100], inr=[1.3, 1.4], dDimer=[2.0, 2.1], fibrinogen=[99, 100], gcs=[10, 11], ventilated=[False, True], norepinephrine=[0, 0.05], epinephrine=[0, 0.05], fixedPupils=[False, True]), {"fio2": 40, "oxygen": "oxygen"}),
    "child-pugh": (child_pugh, dict(bilirubin=BILI, albumin=[2.7, 2.8, 3.5, 3.6], inr=INR, ascites=["none", "mild", "severe"], encephalopathy=["none", "grade 1", "grade 2", "grade 3", "grade 4"]), {"age": 50, "conditions": ["K74.60"]}),
    "morse": (morse, {k: list(v) for k, v in MORSE.items()}, {"age": 50}),
    "lace": (lace, dict(stayDays=[0, 1, 2, 3, 4, 6, 7, 13, 14, 30], urgent=[True, False], emergencyVisits=[0, 1, 2, 3, 4, 6], conditions=[[], *[[c] for c in CONDITIONS], ["I25.2", "E11.9"], ["I25.2", "I50.9"], ["I25.2", "I63.9", "I50.9"]]), {"age": 50}),
    "hospital": (hospital, dict(haemoglobin=[11.9, 12.0], oncology=[False, True], sodium=[134, 135], procedures=[0, 1], urgent=[True, False], admissions=[0, 1, 2, 5, 6], stayDays=[4, 5]), {"age": 50}),
}
FORMULAS = {
    "ckd-epi-2021": (ckd_epi, dict(age=AGE, sex=["female", "male"], creatinine=CREA), {}),
    "cockcroft-gault": (cockcroft, dict(age=AGE, sex=["female", "male"], creatinine=CREA, weight=[45, 70, 82.5, 130], height=[150, 152.4, 165, 190]), {}),
    "schwartz": (schwartz, dict(age=[1, 2, 5, 9, 17], creatinine=[0.3, 0.5, 0.8, 1.4, 3.1], height=[75, 90, 110, 135, 170]), {}),
    "shock-index": (shock_index, dict(pulse=HR, systolic=[s for s in SBP if s > 70]), {"age": 50}),
    "sipa": (sipa, dict(age=[4, 6, 7, 12, 13, 16], pulse=HR, systolic=[80, 81, 90, 99, 100, 101, 110]), {}),
}
# Inputs that say something by their absence, or that decide the population.
STAY = {"age", "ageMonths", "conditions", "target", "terminal", "fio2", "ventilated", "dopamine", "norepinephrine", "dobutamine", "epinephrine", "fixedPupils", "urine", "stayDays", "emergencyVisits", "admissions", "procedures", "oncology", "oxygen"}
NORMAL = {"respiratoryRate": 16, "pulse": 80, "systolic": 125, "diastolic": 75, "map": 85, "spo2": 97, "temperature": 37.0, "gcs": 15, "acvpu": "A", "age": 50}


def summary(parts):
    """An item ("open", n) has n points so far and may have more."""
    is_open = any(p is None or isinstance(p, tuple) for p in parts.values())
    known = {k: v[1] if isinstance(v, tuple) else v for k, v in parts.items() if v is not None}
    return {"total": sum(known.values()), "atLeast": is_open, "parts": known}


def vignettes():
    for score, (rule, values, fixed) in ADDITIVE.items():
        rows = []
        for n in range(28):
            inputs = {**fixed, **{k: rng.choice(v) for k, v in values.items()}}
            inputs = {k: v for k, v in inputs.items() if v is not None}
            if n % 5 == 4:
                left = rng.choice([k for k in values if k not in STAY and k in inputs])
                del inputs[left]
            rows.append({"inputs": inputs, "expected": summary(rule(inputs))})
        yield score, rows
    for score, (rule, values, fixed) in FORMULAS.items():
        rows = []
        for _ in range(24):
            inputs = {**fixed, **{k: rng.choice(v) for k, v in values.items()}}
            rows.append({"inputs": inputs, "expected": {"outputs": rule(inputs)}})
        yield score, rows


def boundaries():
    """One input at a time at each listed value, the others as in a first complete set: the points of every item."""
    out = []
    for score, (rule, values, fixed) in ADDITIVE.items():
        base = {**fixed, **{k: NORMAL.get(k, v[0]) for k, v in values.items()}}
        base = {k: v for k, v in base.items() if v is not None}
        for name, probes in values.items():
            for probe in probes:
                if probe is None:
                    continue
                inputs = {**base, name: probe}
                out.append({"score": score, "input": name, "inputs": inputs, "expected": summary(rule(inputs))})
    return out


def write(path, rows):
    path.write_text("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")


for name, table in vignettes():
    write(HERE / f"{name}.json", table)
write(HERE.parent / "cases" / "scores.json", boundaries())
