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

/// Table 0396: names of coding systems that have a URI of their own.
pub(super) const CODE_SYSTEMS: &[(&str, &str)] = &[
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
