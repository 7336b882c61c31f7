//! QIDO-RS: studies are found by attributes (PS3.18 §10.6), and described in DICOM JSON (PS3.18 annex F).

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{OID, UID_SYSTEM, Uid, elements, study_uid};
use crate::fhir::Resource;

/// Studies on a page at most.
const STUDIES_MAX: usize = 1_000;
/// Studies on a page of which the client does not say how many it wants.
const STUDIES: usize = 100;

/// A search for studies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyQuery {
    /// The same as parameters of a FHIR search for `ImagingStudy`; its Patients come along.
    pub parameters: Vec<(String, String)>,
    /// The accession number, as the FHIR search finds it among all identifiers.
    pub accession: Option<String>,
    /// Studies to pass over.
    pub offset: usize,
    /// Studies to show.
    pub limit: usize,
}

/// Why a search is not understood. Never holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StudyQueryError {
    /// Only these attributes are searched by.
    #[error(
        "studies are found by StudyInstanceUID, PatientID, AccessionNumber, StudyDate and ModalitiesInStudy alone"
    )]
    Attribute,
    /// The value does not have the attribute's form.
    #[error("the value of {0} is malformed; wildcards are not supported")]
    Value(&'static str),
    /// There are bounds on pages.
    #[error("limit and offset together are 1000 at most")]
    Page,
}

impl StudyQuery {
    /// Reads names and values of a query, decoded. Attributes are named by keyword or tag.
    pub fn read(pairs: &[(String, String)]) -> Result<Self, StudyQueryError> {
        let mut query = Self {
            parameters: vec![("_include".to_owned(), "ImagingStudy:patient".to_owned())],
            accession: None,
            offset: 0,
            limit: STUDIES,
        };
        for (name, value) in pairs {
            query.take(name, value)?;
        }
        let end = query.offset.saturating_add(query.limit);
        if end > STUDIES_MAX || query.limit == 0 {
            return Err(StudyQueryError::Page);
        }
        query.add("_count", end.to_string());
        query.add("_sort", "-started".to_owned());
        Ok(query)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), StudyQueryError> {
        let bad = StudyQueryError::Value;
        match name {
            "limit" => self.limit = value.parse().map_err(|_| bad("limit"))?,
            "offset" => self.offset = value.parse().map_err(|_| bad("offset"))?,
            // All attributes that are known are always shown, and matching is exact.
            "includefield" | "fuzzymatching" => {}
            "StudyInstanceUID" | "0020000D" => {
                let uids = value.split([',', '\\']).map(Uid::parse);
                let uids: Option<Vec<Uid>> = uids.collect();
                let uids = uids.ok_or(bad("StudyInstanceUID"))?;
                let uids = uids.iter().map(|uid| format!("{UID_SYSTEM}|{}", uid.urn()));
                self.add("identifier", uids.collect::<Vec<_>>().join(","));
            }
            "PatientID" | "00100020" => {
                let value = plain(value).ok_or(bad("PatientID"))?;
                self.add("patient.identifier", value);
            }
            "AccessionNumber" | "00080050" => {
                let escaped = plain(value).ok_or(bad("AccessionNumber"))?;
                self.accession = Some(value.to_owned());
                self.add("identifier", escaped);
            }
            "StudyDate" | "00080020" => self.between(value).ok_or(bad("StudyDate"))?,
            "ModalitiesInStudy" | "00080061" => {
                let is_code = |one: char| one.is_ascii_uppercase() || one.is_ascii_digit();
                if value.is_empty() || !value.chars().all(is_code) {
                    return Err(bad("ModalitiesInStudy"));
                }
                self.add("modality", value.to_owned());
            }
            _ => return Err(StudyQueryError::Attribute),
        }
        Ok(())
    }

    /// `20260501`, `20260501-20260531`, `20260501-`, `-20260531`.
    fn between(&mut self, value: &str) -> Option<()> {
        let (first, last) = value.split_once('-').unwrap_or((value, value));
        if first.is_empty() && last.is_empty() {
            return None;
        }
        for (prefix, day) in [("ge", first), ("le", last)] {
            if !day.is_empty() {
                self.add("started", format!("{prefix}{}", date(day)?));
            }
        }
        Some(())
    }

    fn add(&mut self, name: &str, value: String) {
        self.parameters.push((name.to_owned(), value));
    }

    /// Whether a study that was found has the accession number.
    pub fn admits(&self, study: &Resource) -> bool {
        let Some(wanted) = &self.accession else {
            return true;
        };
        accession(study).is_some_and(|number| number == wanted)
    }
}

/// A value as a token of a FHIR search, unless it has wildcards.
fn plain(value: &str) -> Option<String> {
    if value.is_empty() || value.contains(['*', '?']) {
        return None;
    }
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, ',' | '|' | '$' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    Some(escaped)
}

fn date(day: &str) -> Option<String> {
    let is_day = day.len() == 8 && day.bytes().all(|one| one.is_ascii_digit());
    let (year, rest) = is_day.then(|| day.split_at(4))?;
    let (month, day) = rest.split_at(2);
    Some(format!("{year}-{month}-{day}"))
}

fn accession(study: &Resource) -> Option<&str> {
    let is_of = |one: &&Value, code: &str| {
        let codings = one.pointer("/type/coding");
        elements(codings).any(|coding| coding.get("code").is_some_and(|it| it == code))
    };
    let identifiers = || {
        elements(study.get("identifier"))
            .filter(|one| one.get("system").is_none_or(|system| system != UID_SYSTEM))
    };
    let typed = identifiers().find(|one| is_of(one, "ACSN"));
    let one = typed.or_else(|| identifiers().find(|one| one.get("type").is_none()));
    one?.get("value")?.as_str()
}

/// A study in DICOM JSON, with what is known of its patient; nothing without a Study Instance UID. `base` is that of the DICOMweb
/// services.
pub fn study_row(study: &Resource, patient: Option<&Resource>, base: &str) -> Option<Value> {
    let uid = study_uid(study)?;
    let started = study.get("started").and_then(Value::as_str);
    let started = started.unwrap_or_default();
    let modalities = elements(study.get("modality")).filter_map(|one| one.get("code")?.as_str());
    let mut modalities: Vec<&str> = modalities.collect();
    let of_series = elements(study.get("series"));
    modalities.extend(of_series.filter_map(|one| one.pointer("/modality/code")?.as_str()));
    modalities.sort_unstable();
    modalities.dedup();
    let mut row = Row::default();
    row.text("00080005", "CS", ["ISO_IR 192"]);
    let (day, time) = (compact(started, 0..10, 8), compact(started, 11..19, 6));
    row.text("00080020", "DA", [day.as_str()]);
    row.text("00080030", "TM", [time.as_str()]);
    row.text("00080050", "SH", accession(study));
    row.text("00080061", "CS", modalities);
    let about = study.get("description").and_then(Value::as_str);
    row.text("00081030", "LO", about);
    let at = format!("{base}/studies/{}", uid.as_str());
    row.text("00081190", "UR", [at.as_str()]);
    if let Some(patient) = patient {
        of_patient(&mut row, patient);
    }
    row.text("0020000D", "UI", [uid.as_str()]);
    row.number("00201206", study.get("numberOfSeries"));
    row.number("00201208", study.get("numberOfInstances"));
    Some(row.0.into())
}

fn of_patient(row: &mut Row, patient: &Resource) {
    let name = elements(patient.get("name")).next();
    let family = name.and_then(|name| name.get("family")?.as_str());
    let given: Vec<&str> = elements(name.and_then(|name| name.get("given")))
        .filter_map(Value::as_str)
        .collect();
    if let Some(family) = family {
        let alphabetic = [family, &given.join(" ")].join("^");
        let named = json!([{ "Alphabetic": alphabetic.trim_end_matches('^') }]);
        row.0
            .insert("00100010".to_owned(), json!({ "vr": "PN", "Value": named }));
    }
    let id = elements(patient.get("identifier")).find_map(|one| one.get("value")?.as_str());
    row.text("00100020", "LO", id);
    let born = patient.get("birthDate").and_then(Value::as_str);
    let born = compact(born.unwrap_or_default(), 0..10, 8);
    row.text("00100030", "DA", [born.as_str()]);
    let gender = patient.get("gender").and_then(Value::as_str);
    let sex = gender.and_then(|gender| match gender {
        "male" => Some("M"),
        "female" => Some("F"),
        "other" => Some("O"),
        _ => None,
    });
    row.text("00100040", "CS", sex);
}

/// The series that an `ImagingStudy` lists.
pub fn series_rows(study: &Resource, base: &str) -> Vec<Value> {
    let Some(uid) = study_uid(study) else {
        return Vec::new();
    };
    let series = elements(study.get("series")).filter_map(|one| {
        let own = one.get("uid")?.as_str()?;
        let mut row = Row::default();
        row.text("00080005", "CS", ["ISO_IR 192"]);
        let modality = one.pointer("/modality/code").and_then(Value::as_str);
        row.text("00080060", "CS", modality);
        let about = one.get("description").and_then(Value::as_str);
        row.text("0008103E", "LO", about);
        let at = format!("{base}/studies/{}/series/{own}", uid.as_str());
        row.text("00081190", "UR", [at.as_str()]);
        row.text("0020000D", "UI", [uid.as_str()]);
        row.text("0020000E", "UI", [own]);
        row.number("00200011", one.get("number"));
        row.number("00201209", one.get("numberOfInstances"));
        Some(row.0.into())
    });
    series.collect()
}

/// The instances that an `ImagingStudy` lists in a series.
pub fn instance_rows(study: &Resource, series: &Uid, base: &str) -> Vec<Value> {
    let Some(uid) = study_uid(study) else {
        return Vec::new();
    };
    let of = elements(study.get("series"))
        .find(|one| one.get("uid").is_some_and(|uid| uid == series.as_str()));
    let instances = elements(of.and_then(|of| of.get("instance"))).filter_map(|one| {
        let own = one.get("uid")?.as_str()?;
        let class = one.pointer("/sopClass/code").and_then(Value::as_str);
        let mut row = Row::default();
        row.text("00080005", "CS", ["ISO_IR 192"]);
        row.text(
            "00080016",
            "UI",
            class.map(|class| class.trim_start_matches(OID)),
        );
        row.text("00080018", "UI", [own]);
        let (study, series) = (uid.as_str(), series.as_str());
        let at = format!("{base}/studies/{study}/series/{series}/instances/{own}");
        row.text("00081190", "UR", [at.as_str()]);
        row.text("0020000D", "UI", [study]);
        row.text("0020000E", "UI", [series]);
        row.number("00200013", one.get("number"));
        Some(row.0.into())
    });
    instances.collect()
}

/// Attributes by tag, in the order of tags.
#[derive(Default)]
struct Row(Map<String, Value>);

impl Row {
    fn text<'a>(&mut self, tag: &str, vr: &str, values: impl IntoIterator<Item = &'a str>) {
        let values = values.into_iter().filter(|value| !value.is_empty());
        let values: Vec<Value> = values.map(Value::from).collect();
        let mut attribute = json!({ "vr": vr });
        if !values.is_empty() {
            attribute["Value"] = values.into();
        }
        self.0.insert(tag.to_owned(), attribute);
    }

    fn number(&mut self, tag: &str, value: Option<&Value>) {
        if let Some(number) = value.filter(|value| value.is_u64()) {
            let attribute = json!({ "vr": "IS", "Value": [number] });
            self.0.insert(tag.to_owned(), attribute);
        }
    }
}

/// The digits of a part of a FHIR time, if there are as many.
fn compact(text: &str, part: std::ops::Range<usize>, digits: usize) -> String {
    let part = text.get(part).unwrap_or_default();
    let compact: String = part.chars().filter(char::is_ascii_digit).collect();
    if compact.len() == digits {
        compact
    } else {
        String::new()
    }
}
