//! Purposes of use, in the order of HL7's v3-ActReason: a purpose covers those that are kinds of it.

/// Each kind of a purpose with the purpose that it is a kind of.
const KINDS: [(&str, &[&str]); 12] = [
    (
        "HOPERAT",
        &[
            "CAREMGT",
            "DONAT",
            "FRAUD",
            "GOV",
            "HACCRED",
            "HCOMPL",
            "HDECD",
            "HDIRECT",
            "HDM",
            "HLEGAL",
            "HOUTCOMS",
            "HPRGRP",
            "HQUALIMP",
            "HSYSADMIN",
            "MEMADMIN",
            "MILCDM",
            "PATADMIN",
            "PATSFTY",
            "PERFMSR",
            "RECORDMGT",
            "SYSDEV",
            "TRAIN",
        ],
    ),
    ("HSYSADMIN", &["LABELING", "METAMGT"]),
    ("SYSDEV", &["HTEST"]),
    ("HPAYMT", &["CLMATTCH", "COVAUTH", "COVERAGE", "REMITADV"]),
    ("COVERAGE", &["ELIGDTRM", "ELIGVER", "ENROLLM", "MILDCRG"]),
    (
        "HRESCH",
        &["BIORCH", "CLINTRCH", "DSRCH", "POARCH", "TRANSRCH"],
    ),
    ("CLINTRCH", &["CLINTRCHNPC", "CLINTRCHPC", "PRECLINTRCH"]),
    ("PATRQT", &["FAMRQT", "PWATRNY", "SUPNWK"]),
    ("PUBHLTH", &["DISASTER", "THREAT"]),
    ("TREAT", &["CLINTRL", "COC", "ETREAT", "POPHLTH"]),
    ("ETREAT", &["BTG", "ERTREAT"]),
    (
        "PurposeOfUse",
        &[
            "HMARKT", "HOPERAT", "HPAYMT", "HRESCH", "PATRQT", "PUBHLTH", "TREAT",
        ],
    ),
];

/// Breaking the glass: a request has it by a declared emergency alone.
pub(crate) const BREAK_GLASS: &str = "BTG";
/// Care, under which emergencies fall.
pub(crate) const TREATMENT: &str = "TREAT";
/// Purposes that a permit covers only if it names one of them.
pub(crate) const NAMED_ONLY: [&str; 2] = ["HMARKT", "HRESCH"];

/// The purpose and all that it is a kind of, the purpose first.
pub(crate) fn with_broader(purpose: &str) -> Vec<&str> {
    let mut found = vec![purpose];
    let mut next = broader(purpose);
    while let Some(one) = next {
        found.push(one);
        next = broader(one);
    }
    found
}

/// What `purpose` is a kind of, at once.
fn broader(purpose: &str) -> Option<&'static str> {
    let is_of = |(_, kinds): &&(&str, &[&str])| kinds.contains(&purpose);
    KINDS.iter().find(is_of).map(|(broader, _)| *broader)
}
