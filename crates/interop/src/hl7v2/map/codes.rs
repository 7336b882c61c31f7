//! HL7's tables and the codes of FHIR that stand for theirs (the guide's vocabulary maps).

/// One of HL7's tables.
#[derive(Debug)]
pub(super) struct Table {
    /// Its number.
    pub(super) number: &'static str,
    /// The code system of the codes on the right, where they become a Coding.
    pub(super) system: &'static str,
    /// The table's code, FHIR's code.
    pub(super) codes: &'static [(&'static str, &'static str)],
}

impl Table {
    /// FHIR's code; the letter case of the sender does not matter.
    pub(super) fn get(&self, code: &str) -> Option<&'static str> {
        let found = self
            .codes
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(code));
        found.map(|(_, fhir)| *fhir)
    }
}

const fn table(number: &'static str, codes: &'static [(&'static str, &'static str)]) -> Table {
    Table {
        number,
        system: "",
        codes,
    }
}

pub(super) static SEX: Table = table(
    "0001",
    &[
        ("F", "female"),
        ("M", "male"),
        ("O", "other"),
        ("U", "unknown"),
        ("A", "other"),
        ("N", "other"),
    ],
);

pub(super) static NAME_TYPE: Table = table(
    "0200",
    &[
        ("BAD", "old"),
        ("D", "usual"),
        ("L", "official"),
        ("M", "maiden"),
        ("MSK", "anonymous"),
        ("N", "nickname"),
        ("NAV", "temp"),
        ("R", "official"),
        ("TEMP", "temp"),
    ],
);

pub(super) static ADDRESS_USE: Table = table(
    "0190",
    &[
        ("BA", "old"),
        ("BI", "billing"),
        ("C", "temp"),
        ("B", "work"),
        ("H", "home"),
        ("O", "work"),
    ],
);

pub(super) static ADDRESS_TYPE: Table = table("0190", &[("M", "postal"), ("SH", "postal")]);

pub(super) static TELECOM_USE: Table = table(
    "0201",
    &[("PRN", "home"), ("WPN", "work"), ("PRS", "mobile")],
);

pub(super) static TELECOM_EQUIPMENT: Table = table(
    "0202",
    &[
        ("PH", "phone"),
        ("FX", "fax"),
        ("MD", "other"),
        ("CP", "phone"),
        ("SAT", "other"),
        ("BP", "pager"),
        ("Internet", "email"),
        ("X.400", "email"),
        ("TDD", "other"),
        ("TTY", "other"),
    ],
);

const fn with_system(
    number: &'static str,
    system: &'static str,
    codes: &'static [(&'static str, &'static str)],
) -> Table {
    Table {
        number,
        system,
        codes,
    }
}

pub(super) static CLASS: Table = with_system(
    "0004",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    &[("E", "EMER"), ("I", "IMP"), ("O", "AMB"), ("P", "PRENC")],
);

pub(super) static INTERPRETATION: Table = with_system(
    "0078",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    &[
        ("N", "N"),
        ("L", "L"),
        ("H", "H"),
        ("LL", "LL"),
        ("HH", "HH"),
        ("A", "A"),
        ("AA", "AA"),
        ("<", "<"),
        (">", ">"),
        ("S", "S"),
        ("I", "I"),
        ("R", "R"),
        ("POS", "POS"),
        ("NEG", "NEG"),
        ("IND", "IND"),
        ("DET", "DET"),
        ("ND", "ND"),
        ("B", "B"),
        ("W", "W"),
        ("U", "U"),
        ("D", "D"),
    ],
);

pub(super) static CONFIDENTIALITY: Table = with_system(
    "0272",
    "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    &[("V", "V"), ("R", "R"), ("U", "N")],
);

pub(super) static ALLERGY_TYPE: Table = table(
    "0127",
    &[
        ("DA", "allergy"),
        ("FA", "allergy"),
        ("MA", "allergy"),
        ("EA", "allergy"),
        ("AA", "allergy"),
        ("PA", "allergy"),
        ("LA", "allergy"),
        ("DI", "intolerance"),
        ("FI", "intolerance"),
    ],
);

pub(super) static ALLERGY_CATEGORY: Table = table(
    "0127",
    &[
        ("DA", "medication"),
        ("FA", "food"),
        ("EA", "environment"),
        ("AA", "biologic"),
        ("PA", "environment"),
        ("LA", "environment"),
    ],
);

pub(super) static CRITICALITY: Table = table(
    "0128",
    &[
        ("SV", "high"),
        ("MI", "low"),
        ("MO", "unable-to-assess"),
        ("U", "unable-to-assess"),
    ],
);

pub(super) static SEVERITY: Table = table(
    "0128",
    &[("SV", "severe"), ("MO", "moderate"), ("MI", "mild")],
);

pub(super) static PRIORITY: Table =
    table("0485", &[("S", "stat"), ("A", "asap"), ("R", "routine")]);

pub(super) static ORDER_STATUS: Table = table(
    "0038",
    &[
        ("CA", "revoked"),
        ("CM", "completed"),
        ("DC", "revoked"),
        ("ER", "entered-in-error"),
        ("HD", "on-hold"),
        ("IP", "active"),
        ("RP", "revoked"),
        ("SC", "active"),
        ("A", "active"),
    ],
);

pub(super) static ORDER_CONTROL: Table = table(
    "0119",
    &[
        ("NW", "active"),
        ("OK", "active"),
        ("RL", "active"),
        ("RO", "active"),
        ("CA", "revoked"),
        ("OC", "revoked"),
        ("CR", "revoked"),
        ("DC", "revoked"),
        ("OD", "revoked"),
        ("DR", "revoked"),
        ("HD", "on-hold"),
        ("OH", "on-hold"),
        ("HR", "on-hold"),
    ],
);

pub(super) static REPORT_STATUS: Table = table(
    "0123",
    &[
        ("O", "registered"),
        ("I", "registered"),
        ("S", "registered"),
        ("N", "registered"),
        ("A", "partial"),
        ("P", "preliminary"),
        ("M", "preliminary"),
        ("C", "corrected"),
        ("R", "partial"),
        ("F", "final"),
        ("X", "cancelled"),
    ],
);

pub(super) static OBSERVATION_STATUS: Table = table(
    "0085",
    &[
        ("A", "amended"),
        ("B", "amended"),
        ("C", "corrected"),
        ("D", "entered-in-error"),
        ("F", "final"),
        ("I", "registered"),
        ("P", "preliminary"),
        ("R", "preliminary"),
        ("S", "preliminary"),
        ("U", "final"),
        ("V", "final"),
        ("W", "entered-in-error"),
        ("X", "cancelled"),
    ],
);

pub(super) static COMPLETION: Table = table(
    "0322",
    &[
        ("CP", "completed"),
        ("PA", "completed"),
        ("RE", "not-done"),
        ("NA", "not-done"),
    ],
);

pub(super) static AVAILABILITY: Table = table(
    "0273",
    &[
        ("AV", "current"),
        ("UN", "current"),
        ("OB", "superseded"),
        ("CA", "entered-in-error"),
    ],
);

pub(super) static DOCUMENT_STATUS: Table = table(
    "0271",
    &[
        ("AU", "final"),
        ("LA", "final"),
        ("DI", "preliminary"),
        ("DO", "preliminary"),
        ("IN", "preliminary"),
        ("IP", "preliminary"),
        ("PA", "preliminary"),
    ],
);

pub(super) static APPOINTMENT_STATUS: Table = table(
    "0278",
    &[
        ("Pending", "pending"),
        ("Waitlist", "waitlist"),
        ("Booked", "booked"),
        ("Started", "checked-in"),
        ("Complete", "fulfilled"),
        ("Cancelled", "cancelled"),
        ("Deleted", "entered-in-error"),
        ("Noshow", "noshow"),
    ],
);

/// Sections of table 0074 to categories of Observations.
pub(super) static SECTION: Table = table(
    "0074",
    &[
        ("LAB", "laboratory"),
        ("CH", "laboratory"),
        ("HM", "laboratory"),
        ("MB", "laboratory"),
        ("SR", "laboratory"),
        ("BLB", "laboratory"),
        ("IMM", "laboratory"),
        ("TX", "laboratory"),
        ("VR", "laboratory"),
        ("CP", "laboratory"),
        ("RAD", "imaging"),
        ("CT", "imaging"),
        ("NMR", "imaging"),
        ("NMS", "imaging"),
        ("RUS", "imaging"),
        ("VUS", "imaging"),
        ("CUS", "imaging"),
        ("XRC", "imaging"),
    ],
);

/// Table 0396: names of coding systems that have a URI of their own.
pub(in crate::hl7v2) const CODE_SYSTEMS: &[(&str, &str)] = &[
    ("LN", "http://loinc.org"),
    ("LOINC", "http://loinc.org"),
    ("SCT", "http://snomed.info/sct"),
    ("SNM", "http://snomed.info/sct"),
    ("SNOMED", "http://snomed.info/sct"),
    ("SNOMED-CT", "http://snomed.info/sct"),
    ("I10", "http://hl7.org/fhir/sid/icd-10"),
    ("I10C", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("I10P", "http://www.cms.gov/Medicare/Coding/ICD10"),
    ("I9", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("I9C", "http://hl7.org/fhir/sid/icd-9-cm"),
    ("RXNORM", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("NDC", "http://hl7.org/fhir/sid/ndc"),
    ("CVX", "http://hl7.org/fhir/sid/cvx"),
    ("MVX", "http://hl7.org/fhir/sid/mvx"),
    ("C4", "http://www.ama-assn.org/go/cpt"),
    ("CPT4", "http://www.ama-assn.org/go/cpt"),
    ("UCUM", "http://unitsofmeasure.org"),
    ("ISO+", "http://unitsofmeasure.org/iso+"),
    ("CDCREC", "urn:oid:2.16.840.1.113883.6.238"),
];
