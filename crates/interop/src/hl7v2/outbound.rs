//! From FHIR to v2, for peers that have nothing else: a patient as ADT^A28 or A08, a result as ORU^R01, a document as MDM^T02.

use serde_json::{Value, json};

use super::ack::moment;
use super::escape::encode;

/// Between whom a message goes, and its number.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// MSH-3 and MSH-4.
    pub from: (&'a str, &'a str),
    /// MSH-5 and MSH-6.
    pub to: (&'a str, &'a str),
    /// MSH-10.
    pub control_id: &'a str,
    /// MSH-7, in milliseconds since 1970.
    pub time_ms: i64,
}

/// What else a message about a resource needs: references, as they stand in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Needed {
    /// The patient; none if the resource is one.
    pub patient: Option<String>,
    /// The results of a report.
    pub results: Vec<String>,
}

impl std::fmt::Debug for Needed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Needed({} results, ..)", self.results.len())
    }
}

/// What a message about a resource needs; none where there is no message for its type, or it is of nobody.
pub fn needed(resource: &Value) -> Option<Needed> {
    let subject = resource["subject"]["reference"].as_str();
    let results = resource["result"].as_array().into_iter().flatten();
    let results = results.filter_map(|one| one["reference"].as_str());
    match resource["resourceType"].as_str()? {
        "Patient" => Some(Needed {
            patient: None,
            results: Vec::new(),
        }),
        "DiagnosticReport" | "Observation" | "DocumentReference" => Some(Needed {
            patient: Some(subject?.to_owned()),
            results: results.map(str::to_owned).collect(),
        }),
        _ => None,
    }
}

/// A version of a resource as the message that says it, with what it [`needed`]: of version 2.5.1, in UTF-8. None where there
/// is no message for its type.
pub fn event(
    envelope: &Envelope<'_>,
    resource: &Value,
    is_new: bool,
    (patient, results): (&Value, &[Value]),
) -> Option<Vec<u8>> {
    match resource["resourceType"].as_str()? {
        "Patient" if is_new => Some(registration(envelope, resource, "ADT^A28^ADT_A05")),
        "Patient" => Some(patient_update(envelope, resource)),
        "DiagnosticReport" => Some(result(envelope, patient, resource, results)),
        "Observation" => {
            let report = report_of(resource);
            let alone = std::slice::from_ref(resource);
            Some(result(envelope, patient, &report, alone))
        }
        "DocumentReference" => Some(document(envelope, patient, resource)),
        _ => None,
    }
}

/// What OBR says of an Observation that is in no report.
fn report_of(observation: &Value) -> Value {
    let mut report = json!({ "resourceType": "DiagnosticReport" });
    let own = [
        "id",
        "identifier",
        "status",
        "code",
        "effectiveDateTime",
        "effectivePeriod",
        "issued",
    ];
    for name in own {
        if let Some(value) = observation.get(name) {
            report[name] = value.clone();
        }
    }
    report
}

/// A DiagnosticReport with its Observations in the order of its results, as ORU^R01 of version 2.5.1 in UTF-8.
pub fn result(
    envelope: &Envelope<'_>,
    patient: &Value,
    report: &Value,
    observations: &[Value],
) -> Vec<u8> {
    let mut lines = vec![header(envelope, "ORU^R01^ORU_R01"), pid(patient)];
    let placer = numbered(report, "PLAC").or_else(|| numbered(report, "FILL"));
    let filler = numbered(report, "FILL").or_else(|| report["identifier"].get(0));
    let placer = placer.map(entity).unwrap_or_default();
    let filler = filler.map_or_else(|| own_number(report), entity);
    let status = back(&report["status"], REPORT_STATUS);
    lines.push(segment(
        "OBR",
        &[
            (1, "1".to_owned()),
            (2, placer),
            (3, filler),
            (4, concept(&report["code"])),
            (
                7,
                time(
                    report["effectiveDateTime"]
                        .as_str()
                        .or(report["effectivePeriod"]["start"].as_str()),
                ),
            ),
            (8, time(report["effectivePeriod"]["end"].as_str())),
            (22, time(report["issued"].as_str())),
            (25, status),
        ],
    ));
    lines.extend(
        observations
            .iter()
            .enumerate()
            .map(|(index, one)| observation(index + 1, one)),
    );
    finish(&lines)
}

/// A Patient as ADT^A08 of version 2.5.1 in UTF-8.
pub fn patient_update(envelope: &Envelope<'_>, patient: &Value) -> Vec<u8> {
    registration(envelope, patient, "ADT^A08^ADT_A01")
}

fn registration(envelope: &Envelope<'_>, patient: &Value, kind: &str) -> Vec<u8> {
    let event = segment("EVN", &[(2, moment(envelope.time_ms))]);
    let visit = segment("PV1", &[(1, "1".to_owned()), (2, "N".to_owned())]);
    finish(&[header(envelope, kind), event, pid(patient), visit])
}

/// A DocumentReference as MDM^T02: its attachments, in the message or by their URL.
fn document(envelope: &Envelope<'_>, patient: &Value, document: &Value) -> Vec<u8> {
    let number = document.get("masterIdentifier");
    let kind = &document["type"];
    let kind = kind["coding"][0]["code"].as_str().or(kind["text"].as_str());
    let text = |value: &Value| encode(value.as_str().unwrap_or_default());
    let txa = [
        (1, "1".to_owned()),
        (2, encode(kind.unwrap_or_default())),
        (4, time(document["context"]["period"]["start"].as_str())),
        (6, time(document["date"].as_str())),
        (12, number.map_or_else(|| own_number(document), entity)),
        (16, text(&document["content"][0]["attachment"]["title"])),
        (17, back(&document["docStatus"], DOCUMENT_STATUS)),
        (19, back(&document["status"], AVAILABILITY)),
    ];
    let visit = segment("PV1", &[(1, "1".to_owned()), (2, "N".to_owned())]);
    let mut lines = vec![
        header(envelope, "MDM^T02^MDM_T02"),
        segment(
            "EVN",
            &[(1, "T02".to_owned()), (2, moment(envelope.time_ms))],
        ),
        pid(patient),
        visit,
        segment("TXA", &txa),
    ];
    let content = document["content"].as_array().into_iter().flatten();
    let attachments = content.filter_map(|one| attached(&one["attachment"]));
    lines.extend(attachments.enumerate().map(|(index, (kind, value))| {
        segment(
            "OBX",
            &[
                (1, (index + 1).to_string()),
                (2, kind.to_owned()),
                (3, "DOC^Document^L".to_owned()),
                (5, value),
                (11, "F".to_owned()),
            ],
        )
    }));
    finish(&lines)
}

/// OBX-2 and OBX-5 of an attachment.
fn attached(attachment: &Value) -> Option<(&'static str, String)> {
    let media = attachment["contentType"].as_str().unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    let (media, subtype) = media.split_once('/').unwrap_or((media, ""));
    let (media, subtype) = (encode(media), encode(subtype));
    if let Some(data) = attachment["data"].as_str() {
        return Some(("ED", format!("^{media}^{subtype}^Base64^{}", encode(data))));
    }
    let url = attachment["url"].as_str()?;
    Some(("RP", format!("{}^^{media}^{subtype}", encode(url))))
}

const DOCUMENT_STATUS: &[(&str, &str)] =
    &[("final", "AU"), ("amended", "AU"), ("preliminary", "IP")];

const AVAILABILITY: &[(&str, &str)] = &[
    ("current", "AV"),
    ("superseded", "OB"),
    ("entered-in-error", "CA"),
];

const REPORT_STATUS: &[(&str, &str)] = &[
    ("registered", "O"),
    ("partial", "A"),
    ("preliminary", "P"),
    ("final", "F"),
    ("amended", "C"),
    ("corrected", "C"),
    ("appended", "C"),
    ("cancelled", "X"),
    ("entered-in-error", "X"),
];

const OBSERVATION_STATUS: &[(&str, &str)] = &[
    ("registered", "I"),
    ("preliminary", "P"),
    ("final", "F"),
    ("amended", "C"),
    ("corrected", "C"),
    ("cancelled", "X"),
    ("entered-in-error", "W"),
];

const GENDER: &[(&str, &str)] = &[
    ("female", "F"),
    ("male", "M"),
    ("other", "O"),
    ("unknown", "U"),
];

fn back(code: &Value, table: &[(&str, &str)]) -> String {
    let found = table.iter().find(|(fhir, _)| Some(*fhir) == code.as_str());
    found.map_or_else(String::new, |(_, v2)| (*v2).to_owned())
}

fn finish(lines: &[String]) -> Vec<u8> {
    let mut text = lines.join("\r");
    text.push('\r');
    text.into_bytes()
}

fn header(envelope: &Envelope<'_>, kind: &str) -> String {
    let [from, at, to, there] = [
        envelope.from.0,
        envelope.from.1,
        envelope.to.0,
        envelope.to.1,
    ]
    .map(encode);
    let (sent, number) = (moment(envelope.time_ms), encode(envelope.control_id));
    format!("MSH|^~\\&|{from}|{at}|{to}|{there}|{sent}||{kind}|{number}|P|2.5.1||||||UNICODE UTF-8")
}

/// A segment from its fields, whose values are encoded already.
fn segment(name: &str, fields: &[(usize, String)]) -> String {
    let last = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(number, _)| *number)
        .max();
    let mut text = name.to_owned();
    for number in 1..=last.unwrap_or(0) {
        text.push('|');
        if let Some((_, value)) = fields.iter().find(|(own, _)| *own == number) {
            text.push_str(value);
        }
    }
    text
}

fn pid(patient: &Value) -> String {
    let name = &patient["name"][0];
    let given = |index: usize| encode(name["given"][index].as_str().unwrap_or_default());
    let family = encode(name["family"].as_str().unwrap_or_default());
    let address = &patient["address"][0];
    let [line, city, state, code, country] = [
        &address["line"][0],
        &address["city"],
        &address["state"],
        &address["postalCode"],
        &address["country"],
    ]
    .map(|part| encode(part.as_str().unwrap_or_default()));
    segment(
        "PID",
        &[
            (1, "1".to_owned()),
            (3, repeated(&patient["identifier"], identifier)),
            (5, trimmed(&format!("{family}^{}^{}", given(0), given(1)))),
            (7, time(patient["birthDate"].as_str())),
            (8, back(&patient["gender"], GENDER)),
            (
                11,
                trimmed(&format!("{line}^^{city}^{state}^{code}^{country}")),
            ),
        ],
    )
}

fn observation(number: usize, observation: &Value) -> String {
    let (kind, value, unit) = value(observation);
    segment(
        "OBX",
        &[
            (1, number.to_string()),
            (2, kind.to_owned()),
            (3, concept(&observation["code"])),
            (5, value),
            (6, unit),
            (
                7,
                encode(
                    observation["referenceRange"][0]["text"]
                        .as_str()
                        .unwrap_or_default(),
                ),
            ),
            (8, concept(&observation["interpretation"][0])),
            (11, back(&observation["status"], OBSERVATION_STATUS)),
            (14, time(observation["effectiveDateTime"].as_str())),
        ],
    )
}

/// OBX-2, OBX-5 and OBX-6. A kind of value that v2 has no type for is left out.
fn value(observation: &Value) -> (&'static str, String, String) {
    let quantity = &observation["valueQuantity"];
    if !quantity.is_null() {
        let unit = match (quantity["code"].as_str(), quantity["unit"].as_str()) {
            (Some(code), text) if quantity["system"] == "http://unitsofmeasure.org" => {
                format!("{}^{}^UCUM", encode(code), encode(text.unwrap_or_default()))
            }
            (_, text) => encode(text.unwrap_or_default()),
        };
        let digits = quantity["value"].to_string();
        return match quantity["comparator"].as_str() {
            Some(comparator) => ("SN", format!("{}^{digits}", encode(comparator)), unit),
            None => ("NM", digits, unit),
        };
    }
    let none = String::new();
    if !observation["valueCodeableConcept"].is_null() {
        return ("CWE", concept(&observation["valueCodeableConcept"]), none);
    }
    if let Some(text) = observation["valueString"].as_str() {
        return ("TX", encode(text), none);
    }
    if let Some(moment) = observation["valueDateTime"].as_str() {
        return ("TS", time(Some(moment)), none);
    }
    ("", String::new(), none)
}

/// CWE: the first two codings, and the text.
fn concept(concept: &Value) -> String {
    let triplet = |index: usize| {
        let coding = &concept["coding"][index];
        let [code, display] =
            ["code", "display"].map(|name| encode(coding[name].as_str().unwrap_or_default()));
        let system = match coding["system"].as_str() {
            Some("http://loinc.org") => "LN".to_owned(),
            Some("http://snomed.info/sct") => "SCT".to_owned(),
            Some("http://hl7.org/fhir/sid/icd-10") => "I10".to_owned(),
            Some(uri) => encode(uri),
            None => String::new(),
        };
        format!("{code}^{display}^{system}")
    };
    let text = encode(concept["text"].as_str().unwrap_or_default());
    trimmed(&format!("{}^{}^^^{text}", triplet(0), triplet(1)))
}

/// CX: the namespace is the URI of the system.
fn identifier(one: &Value) -> String {
    let [value, system] =
        ["value", "system"].map(|name| encode(one[name].as_str().unwrap_or_default()));
    let kind = encode(
        one["type"]["coding"][0]["code"]
            .as_str()
            .unwrap_or_default(),
    );
    let authority = if system.is_empty() {
        system
    } else {
        format!("&{system}&URI")
    };
    trimmed(&format!("{value}^^^{authority}^{kind}"))
}

fn numbered<'a>(report: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut all = report["identifier"].as_array()?.iter();
    all.find(|one| one["type"]["coding"][0]["code"] == kind)
}

/// The number of a resource that has none but its id.
fn own_number(resource: &Value) -> String {
    encode(resource["id"].as_str().unwrap_or_default())
}

/// EI.
fn entity(one: &Value) -> String {
    let [value, system] =
        ["value", "system"].map(|name| encode(one[name].as_str().unwrap_or_default()));
    if system.is_empty() {
        value
    } else {
        format!("{value}^^{system}^URI")
    }
}

fn repeated(list: &Value, each: impl Fn(&Value) -> String) -> String {
    let all = list.as_array().into_iter().flatten();
    all.map(each).collect::<Vec<_>>().join("~")
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches('^').to_owned()
}

/// A date or time of FHIR as DTM.
fn time(moment: Option<&str>) -> String {
    let Some(text) = moment else {
        return String::new();
    };
    let (day, clock) = text.split_once('T').unwrap_or((text, ""));
    let at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at_checked(at).unwrap_or((clock, ""));
    let zone = if zone == "Z" {
        "+0000".to_owned()
    } else {
        zone.replace(':', "")
    };
    format!("{}{}{zone}", day.replace('-', ""), clock.replace(':', ""))
}
