//! What patients have and get, coded.

/// A code with its display.
pub(super) type Coded = (&'static str, &'static str);

/// An illness: SNOMED CT, what is done (SNOMED CT) and what is prescribed (RxNorm).
pub(super) struct Illness {
    pub(super) condition: Coded,
    pub(super) procedure: Option<Coded>,
    pub(super) medication: Option<Coded>,
}

const fn illness(condition: Coded, procedure: Option<Coded>, medication: Option<Coded>) -> Illness {
    Illness {
        condition,
        procedure,
        medication,
    }
}

pub(super) const MINOR: [Illness; 5] = [
    illness(("444814009", "Viral sinusitis (disorder)"), None, None),
    illness(
        ("195662009", "Acute viral pharyngitis (disorder)"),
        None,
        None,
    ),
    illness(
        ("10509002", "Acute bronchitis (disorder)"),
        Some((
            "23426006",
            "Measurement of respiratory function (procedure)",
        )),
        Some(("313782", "Acetaminophen 325 MG Oral Tablet")),
    ),
    illness(
        ("43878008", "Streptococcal sore throat (disorder)"),
        Some(("117015009", "Throat culture (procedure)")),
        Some(("834102", "Penicillin V Potassium 500 MG Oral Tablet")),
    ),
    illness(
        ("36971009", "Sinusitis (disorder)"),
        None,
        Some((
            "562251",
            "Amoxicillin 250 MG / Clavulanate 125 MG Oral Tablet",
        )),
    ),
];

pub(super) const EMERGENCY: [Illness; 4] = [
    illness(
        ("44465007", "Sprain of ankle"),
        Some(("274474001", "Bone immobilization")),
        Some(("310965", "Ibuprofen 200 MG Oral Tablet")),
    ),
    illness(
        ("284549007", "Laceration of hand"),
        Some(("288086009", "Suture open wound")),
        Some(("313782", "Acetaminophen 325 MG Oral Tablet")),
    ),
    illness(
        ("33737001", "Fracture of rib"),
        Some(("399208008", "Plain chest X-ray (procedure)")),
        Some(("849574", "Naproxen sodium 220 MG Oral Tablet")),
    ),
    illness(
        ("62106007", "Concussion with no loss of consciousness"),
        None,
        Some(("313782", "Acetaminophen 325 MG Oral Tablet")),
    ),
];

pub(super) const INPATIENT: [Illness; 2] = [
    illness(
        ("74400008", "Appendicitis"),
        Some(("80146002", "Appendectomy")),
        Some(("313782", "Acetaminophen 325 MG Oral Tablet")),
    ),
    illness(
        ("444470001", "Injury of anterior cruciate ligament"),
        Some(("699253003", "Surgical manipulation of joint of knee")),
        Some(("849574", "Naproxen sodium 220 MG Oral Tablet")),
    ),
];

/// A chronic illness, with the plan of care and its goal.
pub(super) struct Chronic {
    pub(super) illness: Illness,
    pub(super) plan: Coded,
    pub(super) activity: Coded,
    pub(super) goal: &'static str,
}

pub(super) const CHRONIC: [Chronic; 3] = [
    Chronic {
        illness: illness(
            ("38341003", "Hypertension"),
            None,
            Some(("316049", "Hydrochlorothiazide 25 MG")),
        ),
        plan: ("443402002", "Lifestyle education regarding hypertension"),
        activity: ("386619000", "Low sodium diet (finding)"),
        goal: "Blood pressure below 140/90 mmHg",
    },
    Chronic {
        illness: illness(("15777000", "Prediabetes"), None, None),
        plan: ("698360004", "Diabetes self management plan"),
        activity: ("160670007", "Diabetic diet"),
        goal: "Hemoglobin A1c below 7.0 %",
    },
    Chronic {
        illness: illness(
            ("55822004", "Hyperlipidemia"),
            None,
            Some(("312961", "Simvastatin 20 MG Oral Tablet")),
        ),
        plan: ("736285004", "Hyperlipidemia clinical management plan"),
        activity: ("226234005", "Healthy diet"),
        goal: "LDL cholesterol below 130 mg/dL",
    },
];

pub(super) const OPIOID: Illness = illness(
    ("5602001", "Opioid abuse"),
    Some(("56876005", "Drug rehabilitation and detoxification")),
    Some((
        "351267",
        "buprenorphine 8 MG / naloxone 2 MG Sublingual Tablet",
    )),
);

pub(super) const DEPRESSION: Illness = illness(
    ("370143000", "Major depressive disorder"),
    Some(("171207006", "Depression screening")),
    Some(("312941", "sertraline 50 MG Oral Tablet")),
);

pub(super) const ALLERGIES: [Coded; 4] = [
    ("232347008", "Dander (animal) allergy"),
    ("418689008", "Allergy to grass pollen"),
    ("419474003", "Allergy to mould"),
    ("91934008", "Allergy to nut"),
];

pub(super) const INFLUENZA: Coded = ("140", "Influenza, seasonal, injectable, preservative free");
pub(super) const VACCINES: [Coded; 4] = [
    ("113", "Td (adult) preservative free"),
    ("115", "Tdap"),
    ("121", "zoster"),
    ("33", "pneumococcal polysaccharide vaccine, 23 valent"),
];

/// A laboratory value: LOINC, unit in UCUM, range in units of 10^-scale.
pub(super) struct Analyte {
    pub(super) code: Coded,
    pub(super) unit: &'static str,
    pub(super) range: (u64, u64),
    pub(super) scale: usize,
}

const fn analyte(code: Coded, unit: &'static str, range: (u64, u64), scale: usize) -> Analyte {
    Analyte {
        code,
        unit,
        range,
        scale,
    }
}

pub(super) const BASIC_METABOLIC: (Coded, [Analyte; 8]) = (
    ("51990-0", "Basic Metabolic Panel"),
    [
        analyte(("2339-0", "Glucose"), "mg/dL", (6_500, 11_800), 2),
        analyte(("6299-2", "Urea Nitrogen"), "mg/dL", (700, 2_000), 2),
        analyte(("38483-4", "Creatinine"), "mg/dL", (60, 130), 2),
        analyte(("49765-1", "Calcium"), "mg/dL", (850, 1_020), 2),
        analyte(("2947-0", "Sodium"), "mmol/L", (13_600, 14_400), 2),
        analyte(("6298-4", "Potassium"), "mmol/L", (370, 520), 2),
        analyte(("2069-3", "Chloride"), "mmol/L", (10_100, 11_100), 2),
        analyte(("20565-8", "Carbon Dioxide"), "mmol/L", (2_000, 2_900), 2),
    ],
);

pub(super) const LIPIDS: (Coded, [Analyte; 4]) = (
    ("57698-3", "Lipid Panel"),
    [
        analyte(
            ("2093-3", "Total Cholesterol"),
            "mg/dL",
            (15_500, 24_000),
            2,
        ),
        analyte(("2571-8", "Triglycerides"), "mg/dL", (8_000, 20_000), 2),
        analyte(
            ("18262-6", "Low Density Lipoprotein Cholesterol"),
            "mg/dL",
            (6_000, 16_000),
            2,
        ),
        analyte(
            ("2085-9", "High Density Lipoprotein Cholesterol"),
            "mg/dL",
            (3_500, 8_000),
            2,
        ),
    ],
);

pub(super) const HEMOGLOBIN_A1C: Analyte = analyte(
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
    "%",
    (45, 69),
    1,
);
