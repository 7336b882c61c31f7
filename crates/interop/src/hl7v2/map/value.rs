//! OBX-5: values by their type in OBX-2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::draft::Draft;
use super::rule::text;
use crate::compose::{code_text, filled, put};
use crate::hl7v2::fault::{ErrorCode, Place};
use crate::hl7v2::message::{Repeat, Segment};
use crate::hl7v2::moment;

/// A value and the element it goes to.
type Typed = (&'static str, Value);

impl Draft<'_> {
    /// All repetitions of OBX-5: the first is the value, further ones are components with the same code. Texts are lines of
    /// one.
    pub(super) fn values(&mut self, segment: &Segment<'_>, kind: &str, observation: &mut Value) {
        let field = segment.field(5);
        let place = self.place(segment).field(5);
        if matches!(kind, "ST" | "TX" | "FT" | "") {
            let lines: Vec<String> = field.repeats().map(|repeat| repeat.text()).collect();
            return self.put_text(observation, "valueString", lines.join("\n"));
        }
        for (index, repeat) in field.repeats().enumerate() {
            let Some((element, value)) = self.value(repeat, kind, segment, &place) else {
                continue;
            };
            if index == 0 {
                put(observation, element, value);
            } else {
                let code = observation["code"].clone();
                put(
                    observation,
                    "component[]",
                    json!({"code": code, (element): value}),
                );
            }
        }
    }

    fn value(
        &mut self,
        repeat: Repeat<'_>,
        kind: &str,
        segment: &Segment<'_>,
        place: &Place,
    ) -> Option<Typed> {
        let first = repeat.component(1).text();
        Some(match kind {
            "NM" => ("valueQuantity", self.measured(&first, segment, place)?),
            "SN" => self.structured(repeat, segment, place)?,
            "CE" | "CWE" | "CNE" | "CF" => {
                ("valueCodeableConcept", self.concept(repeat, "", place)?)
            }
            "IS" | "ID" => ("valueCodeableConcept", self.concept(repeat, "", place)?),
            "DT" => ("valueDateTime", self.date(&first, place)?),
            "TS" | "DTM" => ("valueDateTime", self.date_time(&first, place)?),
            "TM" => {
                let read = moment::time_of_day(&first);
                ("valueTime", self.or_fault(read, place, "a time, HHMM[SS]")?)
            }
            "DR" => ("valuePeriod", self.period(repeat, place)?),
            "NR" => (
                "valueRange",
                self.range([&first, &repeat.component(2).text()], segment, place)?,
            ),
            "ED" | "RP" => {
                let attachment = self.attachment(repeat, kind, place)?;
                let url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.valueAttachment";
                (
                    "extension[]",
                    json!({"url": url, "valueAttachment": attachment}),
                )
            }
            // Addresses, names and numbers as values: as they stand.
            "XAD" | "XPN" | "XTN" | "CX" | "XCN" | "XON" | "EI" | "CP" | "MO" => {
                ("valueString", text(repeat.text())?)
            }
            _ => {
                let place = Place {
                    field: Some(2),
                    ..place.clone()
                };
                self.fault(
                    place,
                    ErrorCode::TableValueNotFound,
                    "a value type that is mapped",
                );
                return None;
            }
        })
    }

    /// NM in the unit of OBX-6; a comparator before the digits is taken as one.
    fn measured(&mut self, digits: &str, segment: &Segment<'_>, place: &Place) -> Option<Value> {
        let (comparator, digits) = ["<=", ">=", "<", ">"]
            .iter()
            .find_map(|sign| Some((Some(*sign), digits.strip_prefix(sign)?)))
            .unwrap_or((None, digits));
        let mut quantity = json!({"value": self.decimal(digits.trim(), place)?});
        put(&mut quantity, "comparator", comparator.into());
        self.unit(segment, 6, &mut quantity);
        Some(quantity)
    }

    /// OBX-6 or RXA-7: the unit as it stands; its code where the coding system is named.
    pub(super) fn unit(&mut self, segment: &Segment<'_>, field: usize, quantity: &mut Value) {
        let Some(cwe) = segment.field(field).repeats().next() else {
            return;
        };
        let Some(code) = code_text(&cwe.component(1).text()) else {
            return;
        };
        self.put_text(quantity, "unit", cwe.component(2).text());
        self.put_text(quantity, "unit", code);
        let place = self.place(segment).field(field);
        let concept = self.concept(cwe, "", &place);
        let coding = concept.map(|concept| concept["coding"][0].clone());
        if let Some(system) = coding.as_ref().and_then(|coding| coding["system"].as_str()) {
            put(quantity, "system", system.into());
            put(
                quantity,
                "code",
                coding
                    .as_ref()
                    .map_or(Value::Null, |coding| coding["code"].clone()),
            );
        }
    }

    /// SN: comparator, number, separator, number.
    fn structured(
        &mut self,
        sn: Repeat<'_>,
        segment: &Segment<'_>,
        place: &Place,
    ) -> Option<Typed> {
        let [comparator, first, separator, second] =
            [1, 2, 3, 4].map(|number| sn.component(number).text());
        let is_comparator = ["", "=", "<", ">", "<=", ">="].contains(&comparator.as_str());
        match separator.as_str() {
            "" if is_comparator && second.is_empty() => {
                let mut quantity = json!({"value": self.decimal(&first, place)?});
                if !matches!(comparator.as_str(), "" | "=") {
                    put(&mut quantity, "comparator", comparator.into());
                }
                self.unit(segment, 6, &mut quantity);
                Some(("valueQuantity", quantity))
            }
            "-" if matches!(comparator.as_str(), "" | "=") => {
                Some(("valueRange", self.range([&first, &second], segment, place)?))
            }
            ":" | "/" if matches!(comparator.as_str(), "" | "=") => {
                let (numerator, denominator) =
                    (self.decimal(&first, place)?, self.decimal(&second, place)?);
                let ratio = json!({"numerator": {"value": numerator}, "denominator": {"value": denominator}});
                Some(("valueRatio", ratio))
            }
            _ => Some((
                "valueString",
                text(format!("{comparator}{first}{separator}{second}"))?,
            )),
        }
    }

    fn range(&mut self, bounds: [&str; 2], segment: &Segment<'_>, place: &Place) -> Option<Value> {
        let mut range = json!({});
        for (name, digits) in ["low", "high"].into_iter().zip(bounds) {
            if digits.is_empty() {
                continue;
            }
            let mut quantity = json!({"value": self.decimal(digits, place)?});
            self.unit(segment, 6, &mut quantity);
            put(&mut range, name, quantity);
        }
        filled(range)
    }

    fn period(&mut self, dr: Repeat<'_>, place: &Place) -> Option<Value> {
        let mut period = json!({});
        for (name, component) in [("start", 1), ("end", 2)] {
            let moment = dr.component(component).text();
            if !moment.is_empty() {
                put(&mut period, name, self.date_time(&moment, place)?);
            }
        }
        filled(period)
    }

    /// ED: data. RP: where the data are.
    pub(super) fn attachment(
        &mut self,
        repeat: Repeat<'_>,
        kind: &str,
        place: &Place,
    ) -> Option<Value> {
        let mut attachment = json!({});
        let (media, subtype) = match kind {
            "RP" => (repeat.component(3).text(), repeat.component(4).text()),
            _ => (repeat.component(2).text(), repeat.component(3).text()),
        };
        put(
            &mut attachment,
            "contentType",
            content_type(&media, &subtype).into(),
        );
        if kind == "RP" {
            let pointer = repeat.component(1).text();
            let is_uri = !pointer.is_empty() && !pointer.contains(char::is_whitespace);
            let url =
                self.or_fault(is_uri.then_some(pointer), place, "a pointer without spaces")?;
            put(&mut attachment, "url", url);
            return Some(attachment);
        }
        // The data may be longer than a text of FHIR, and hold what looks like components.
        let data = repeat.component(5).text();
        let bytes = match repeat.component(4).text().to_ascii_uppercase().as_str() {
            "A" | "" => Some(data.into_bytes()),
            "BASE64" => {
                let digits: String = data.chars().filter(|one| !one.is_whitespace()).collect();
                STANDARD.decode(digits).ok()
            }
            "HEX" => hexadecimal(&data),
            _ => None,
        };
        let encoded = bytes
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| STANDARD.encode(bytes));
        let data = self.or_fault(encoded, place, "data in the encoding that ED-4 names")?;
        put(&mut attachment, "data", data);
        Some(attachment)
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16)
                .ok()
                .filter(|_| pair.len() == 2)
        })
        .collect()
}

/// A media type of ED or RP, such as `application` and `PDF`.
fn content_type(media: &str, subtype: &str) -> Option<String> {
    let [media, subtype] =
        [media, subtype].map(|text| code_text(text).map(|text| text.to_ascii_lowercase()));
    match (media, subtype) {
        (Some(media), _) if media.contains('/') => Some(media),
        (Some(media), Some(subtype)) => Some(match (media.as_str(), subtype.as_str()) {
            ("text" | "ft" | "tx", "plain" | "txt") => "text/plain".to_owned(),
            (_, "pdf") => "application/pdf".to_owned(),
            ("image" | "im", "jpeg" | "jpg") => "image/jpeg".to_owned(),
            _ => format!("{media}/{subtype}"),
        }),
        (None, Some(subtype)) if subtype == "pdf" => Some("application/pdf".to_owned()),
        (Some(media), None) if media == "pdf" => Some("application/pdf".to_owned()),
        _ => None,
    }
}
