//! Data types of CDA as those of FHIR.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::draft::Draft;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::ccda::fault::Rule;
use crate::compose::{code_text, filled, number, put};
use crate::fhir::TimeSpan;
use crate::hl7v2::moment;

const URI: &str = "urn:ietf:rfc:3986";
/// The OID of URIs as identifiers.
const URI_ROOT: &str = "2.16.840.1.113883.4.873";
const UCUM: &str = "http://unitsofmeasure.org";
pub(super) const SNOMED: &str = "http://snomed.info/sct";
pub(super) const LOINC: &str = "http://loinc.org";
const ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
pub(super) const ABSENT_CODES: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";

/// An `effectiveTime`, in whatever form it came.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// One point in time.
    pub(super) at: Option<String>,
    pub(super) low: Option<String>,
    pub(super) high: Option<String>,
    /// It has ended, nobody knows when.
    pub(super) has_unknown_end: bool,
}

impl Times {
    /// When it was, or began.
    pub(super) fn start(&self) -> Option<String> {
        self.at.clone().or_else(|| self.low.clone())
    }

    /// Its ends as a Period; nothing for one point in time.
    pub(super) fn period(&self) -> Option<Value> {
        let mut period = json!({});
        put(&mut period, "start", self.low.clone().into());
        put(&mut period, "end", self.high.clone().into());
        filled(period)
    }

    /// Puts `[prefix]DateTime` or `[prefix]Period`.
    pub(super) fn put(&self, resource: &mut Value, prefix: &str) {
        let is_point = self.low.is_some() && self.low == self.high;
        match (&self.at, is_point) {
            (Some(at), _) => put(resource, &format!("{prefix}DateTime"), at.clone().into()),
            (None, true) => put(
                resource,
                &format!("{prefix}DateTime"),
                self.low.clone().into(),
            ),
            (None, false) => put(resource, &format!("{prefix}Period"), self.period().into()),
        }
    }
}

impl<'a> Draft<'a> {
    /// II of all `id`s.
    pub(super) fn identifiers(&mut self, at: At<'a>) -> Vec<Value> {
        at.all("id").filter_map(|id| self.identifier(id)).collect()
    }

    /// II.
    pub(super) fn identifier(&mut self, id: At<'a>) -> Option<Value> {
        if id.attribute("nullFlavor").is_some() {
            return None;
        }
        let (root, extension) = (id.attribute("root"), id.attribute("extension"));
        let root = match root {
            Some(root) => match uid(root) {
                Some(uri) => Some((root, uri)),
                None => {
                    self.misread(id, Rule::Form("an OID or a UUID as `root`"));
                    return None;
                }
            },
            None => None,
        };
        Some(match (root, extension) {
            (Some((URI_ROOT, _)), Some(whole)) => split_uri(whole),
            (Some((root, uri)), Some(extension)) => {
                let system = code(codes::AUTHORITIES, root).map_or(uri, str::to_owned);
                json!({"system": system, "value": extension})
            }
            (Some((root, _)), None) if code(codes::AUTHORITIES, root).is_some() => return None,
            (Some((_, uri)), None) => json!({"system": URI, "value": uri}),
            (None, Some(extension)) => json!({"value": extension}),
            (None, None) => return None,
        })
    }

    /// CD, CE, CS. Nothing if it says nothing but that it is missing.
    pub(super) fn concept(&mut self, at: At<'a>) -> Option<Value> {
        let mut concept = json!({});
        let codes = std::iter::once(at).chain(at.all("translation"));
        for coded in codes {
            if let Some(coding) = self.coding(coded) {
                put(&mut concept, "coding[]", coding);
            }
        }
        let said = at.child("originalText").and_then(At::said);
        let display = at.attribute("displayName").map(str::to_owned);
        put(&mut concept, "text", said.or(display).into());
        filled(concept)
    }

    /// The same of a child.
    pub(super) fn concept_in(&mut self, at: At<'a>, name: &'static str) -> Option<Value> {
        self.concept(at.child(name)?)
    }

    /// The same, and why it is missing if it is.
    pub(super) fn concept_or_reason(&mut self, at: Option<At<'a>>) -> Value {
        let found = at.and_then(|at| self.concept(at));
        found.unwrap_or_else(|| {
            let flavor = at.and_then(|at| at.attribute("nullFlavor"));
            absent_concept(flavor)
        })
    }

    pub(super) fn coding(&mut self, at: At<'a>) -> Option<Value> {
        let code_given = code_text(at.attribute("code")?)?;
        let mut coding = json!({});
        if let Some(oid) = at.attribute("codeSystem") {
            put(&mut coding, "system", self.code_system(at, oid)?.into());
        }
        put(&mut coding, "code", code_given.into());
        put(&mut coding, "display", at.attribute("displayName").into());
        Some(coding)
    }

    fn code_system(&mut self, at: At<'a>, oid: &str) -> Option<String> {
        let Some(uri) = uid(oid) else {
            self.misread(at, Rule::Form("an OID or a UUID as `codeSystem`"));
            return None;
        };
        Some(code(codes::SYSTEMS, oid).map_or(uri, str::to_owned))
    }

    /// TS: a `dateTime` as precise as it came.
    pub(super) fn time(&mut self, at: At<'a>) -> Option<String> {
        let text = at.attribute("value")?;
        let read = moment::date_time(&four_digits(text), &self.zone);
        if read.is_none() {
            let expected = "a time, YYYY[MM[DD[HH[MM[SS]]]]][+/-ZZZZ]";
            self.misread(at, Rule::Form(expected));
        }
        read
    }

    /// TS without the time of day.
    pub(super) fn date(&mut self, at: At<'a>) -> Option<String> {
        let text = at.attribute("value")?;
        let read = moment::date(text);
        if read.is_none() {
            self.misread(at, Rule::Form("a date, YYYY[MM[DD]]"));
        }
        read
    }

    /// TS or IVL_TS.
    pub(super) fn times(&mut self, at: At<'a>) -> Times {
        let [low, high, center] = ["low", "high", "center"].map(|name| at.child(name));
        let [low_read, mut high_read, center] =
            [low, high, center].map(|end| end.and_then(|end| self.time(end)));
        let span = TimeSpan::between(low_read.as_deref(), high_read.as_deref());
        if let (Some(high), true, None) = (high, high_read.is_some(), span) {
            self.misread(high, Rule::Form("a time that is not before `low`"));
            high_read = None;
        }
        Times {
            at: self.time(at).or(center),
            low: low_read,
            high: high_read,
            has_unknown_end: high.is_some_and(|high| high.is("nullFlavor", "UNK")),
        }
    }

    /// The same of the child `effectiveTime`.
    pub(super) fn times_in(&mut self, at: At<'a>) -> Times {
        let time = at.child("effectiveTime");
        time.map_or_else(Times::default, |time| self.times(time))
    }

    /// A number in an attribute, with its digits.
    pub(super) fn decimal(&mut self, at: At<'a>, name: &str) -> Option<Value> {
        let text = at.attribute(name)?;
        let read = number(text).or_else(|| number(&scientific(text)?));
        let read = read.and_then(|digits| serde_json::from_str(&digits).ok());
        if read.is_none() {
            self.misread(at, Rule::Form("a decimal number of at most 18 digits"));
        }
        read
    }

    /// A whole number from `min` on.
    pub(super) fn integer(&mut self, at: At<'a>, min: u32) -> Option<u32> {
        let text = at.attribute("value")?;
        let read = text.parse().ok();
        let read = read.filter(|read| *read >= min && *read <= 0x7fff_ffff);
        if read.is_none() {
            self.misread(at, Rule::Form("a whole number"));
        }
        read
    }

    /// PQ.
    pub(super) fn quantity(&mut self, at: At<'a>) -> Option<Value> {
        let mut quantity = json!({"value": self.decimal(at, "value")?});
        if let Some(unit) = at.attribute("unit") {
            put(&mut quantity, "unit", unit.into());
            put(&mut quantity, "system", UCUM.into());
            put(&mut quantity, "code", code_text(unit).into());
        }
        Some(quantity)
    }

    pub(super) fn quantity_in(&mut self, at: At<'a>, name: &'static str) -> Option<Value> {
        self.quantity(at.child(name)?)
    }

    /// EN and PN.
    pub(super) fn name_of_person(&mut self, at: At<'a>) -> Option<Value> {
        let mut name = json!({});
        for (part, element) in [
            ("family", "family"),
            ("given", "given[]"),
            ("prefix", "prefix[]"),
            ("suffix", "suffix[]"),
        ] {
            for piece in at.all(part) {
                put(&mut name, element, some_text(piece.text()));
            }
        }
        if name.as_object().is_some_and(serde_json::Map::is_empty) {
            put(&mut name, "text", some_text(at.text()));
        }
        let mut name = filled(name)?;
        put(&mut name, "use", use_of(at, codes::NAME_USE).into());
        Some(name)
    }

    /// AD.
    pub(super) fn address(&mut self, at: At<'a>) -> Option<Value> {
        let mut address = json!({});
        for (part, element) in [
            ("streetAddressLine", "line[]"),
            ("city", "city"),
            ("county", "district"),
            ("state", "state"),
            ("postalCode", "postalCode"),
            ("country", "country"),
        ] {
            for piece in at.all(part) {
                put(&mut address, element, some_text(piece.text()));
            }
        }
        if address.as_object().is_some_and(serde_json::Map::is_empty) {
            put(&mut address, "text", some_text(at.text()));
        }
        let mut address = filled(address)?;
        put(&mut address, "use", use_of(at, codes::ADDRESS_USE).into());
        Some(address)
    }

    /// TEL.
    pub(super) fn telecom(&mut self, at: At<'a>) -> Option<Value> {
        let whole = at.attribute("value")?;
        let (system, value) = match whole.split_once(':') {
            Some((scheme, rest)) => match code(codes::TELECOM_SYSTEM, &scheme.to_lowercase()) {
                Some("url") => ("url", whole),
                Some(system) => (system, rest.trim()),
                None => ("other", whole),
            },
            None => ("phone", whole),
        };
        let uses = at.attribute("use").unwrap_or_default();
        let system = if uses == "PG" { "pager" } else { system };
        let mut telecom = json!({"system": system, "value": (!value.is_empty()).then_some(value)?});
        put(&mut telecom, "use", use_of(at, codes::TELECOM_USE).into());
        Some(telecom)
    }

    /// The addresses and telecoms of a role or an entity. An organization has no home, whatever its document says.
    pub(super) fn reachable(&mut self, at: At<'a>, target: &mut Value) {
        let has_home = target["resourceType"] != "Organization";
        let at_work = |mut point: Value| {
            if !has_home && point["use"] == "home" {
                point["use"] = "work".into();
            }
            point
        };
        for telecom in at.all("telecom") {
            let telecom = self.telecom(telecom).map(at_work);
            put(target, "telecom[]", telecom.into());
        }
        for address in at.all("addr") {
            let address = self.address(address).map(at_work);
            put(target, "address[]", address.into());
        }
    }
}

/// A time whose zone has four digits: CDA takes hours of one digit, and none of the minutes.
pub(super) fn four_digits(time: &str) -> Cow<'_, str> {
    let Some(at) = time.rfind(['+', '-']) else {
        return time.into();
    };
    let (clock, zone) = time.split_at(at);
    let (sign, digits) = zone.split_at(1);
    match digits.len() {
        1 => format!("{clock}{sign}0{digits}00").into(),
        2 => format!("{clock}{zone}00").into(),
        3 => format!("{clock}{sign}0{digits}").into(),
        _ => time.into(),
    }
}

/// A number with an exponent, without it.
fn scientific(text: &str) -> Option<String> {
    let number = Decimal::from_scientific(text).ok()?;
    Some(number.to_string())
}

/// The first use that FHIR has.
fn use_of(at: At<'_>, table: codes::Table) -> Option<&'static str> {
    let uses = at.attribute("use").unwrap_or_default();
    uses.split_whitespace().find_map(|one| code(table, one))
}

pub(super) fn some_text(text: String) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

/// A concept of a code system.
pub(super) fn coded(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

/// Why something is missing, for a null flavor.
pub(super) fn reason(flavor: Option<&str>) -> &'static str {
    code(codes::NULL_FLAVOR, flavor.unwrap_or("NI")).unwrap_or("unknown")
}

/// A concept that is not known.
pub(super) fn absent_concept(flavor: Option<&str>) -> Value {
    coded(ABSENT_CODES, reason(flavor))
}

/// The extension that says why an element is missing.
pub(super) fn absent(flavor: Option<&str>) -> Value {
    json!({"extension": [{"url": ABSENT, "valueCode": reason(flavor)}]})
}

/// The URI of an OID or a UUID.
fn uid(text: &str) -> Option<String> {
    let is_oid = text.contains('.')
        && text.len() <= 128
        && text
            .split('.')
            .all(|arc| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()));
    if is_oid {
        return Some(format!("urn:oid:{text}"));
    }
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    is_uuid.then(|| format!("urn:uuid:{}", text.to_ascii_lowercase()))
}

/// An identifier of FHIR that was put into one of CDA: a URL is split at its last slash, a URN at its last colon.
fn split_uri(whole: &str) -> Value {
    let split = match whole.starts_with("urn:") {
        true => whole.rsplit_once(':'),
        false => whole.rsplit_once('/'),
    };
    match split {
        Some((system, value)) if !system.is_empty() && !value.is_empty() => {
            json!({"system": system, "value": value})
        }
        _ => json!({"system": URI, "value": whole}),
    }
}
