//! Data types of HL7 v2 as those of FHIR.

use serde_json::{Value, json};

use super::Unmapped;
use super::codes::{self, Table};
use super::draft::Draft;
use super::rule::text;
use crate::compose::{code_text, filled, key, put};
use crate::hl7v2::fault::{ErrorCode, Place};
use crate::hl7v2::message::{Component, Repeat};
use crate::hl7v2::moment;

const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

impl Draft<'_> {
    /// CX.
    pub(super) fn identifier(&mut self, cx: Repeat<'_>) -> Option<Value> {
        let value = text(cx.component(1).text())?;
        let mut identifier = json!({"system": self.authority(cx.component(4)), "value": value});
        let kind = cx.component(5).text();
        if let Some(code) = code_text(&kind) {
            put(
                &mut identifier,
                "type.coding[]",
                json!({"system": IDENTIFIER_TYPES, "code": code}),
            );
        }
        Some(identifier)
    }

    /// EI: identifier, namespace, universal id, its type.
    pub(super) fn entity_identifier(&mut self, ei: Repeat<'_>, kind: &str) -> Option<Value> {
        let value = text(ei.component(1).text())?;
        let parts = [2, 3, 4].map(|number| ei.component(number).text());
        let [namespace, id, id_type] = &parts;
        let mut identifier =
            json!({"system": self.system_of(namespace, id, id_type), "value": value});
        if !kind.is_empty() {
            put(
                &mut identifier,
                "type.coding[]",
                json!({"system": IDENTIFIER_TYPES, "code": kind}),
            );
        }
        Some(identifier)
    }

    /// HD: the URI of an assigning authority.
    pub(super) fn authority(&self, hd: Component<'_>) -> String {
        let parts = [1, 2, 3].map(|number| hd.subcomponent(number));
        let [namespace, id, id_type] = &parts;
        self.system_of(namespace, id, id_type)
    }

    pub(super) fn system_of(&self, namespace: &str, id: &str, id_type: &str) -> String {
        let named = self
            .overrides
            .iter()
            .find_map(|entry| entry.authorities.get(namespace));
        if let (Some(uri), false) = (named, namespace.is_empty()) {
            return uri.clone();
        }
        match (id_type.to_ascii_uppercase().as_str(), is_uri_text(id)) {
            ("ISO", true) => return format!("urn:oid:{id}"),
            ("UUID" | "GUID", true) => return format!("urn:uuid:{}", id.to_ascii_lowercase()),
            ("URI" | "URL", true) => return id.to_owned(),
            _ => {}
        }
        if namespace.is_empty() && id.is_empty() {
            let usual = self
                .overrides
                .iter()
                .find_map(|entry| entry.default_authority.clone());
            return usual.unwrap_or_else(|| {
                let facility = self.message.sender().facility;
                format!("urn:careledger:v2:authority:{}", key(&[&facility]))
            });
        }
        let name = if namespace.is_empty() { id } else { namespace };
        format!("urn:careledger:v2:authority:{}", key(&[name]))
    }

    /// XPN.
    pub(super) fn name(&mut self, xpn: Repeat<'_>, place: &Place) -> Option<Value> {
        let mut name = json!({});
        self.put_text(&mut name, "family", xpn.component(1).text());
        self.put_text(&mut name, "given[]", xpn.component(2).text());
        for further in xpn.component(3).text().split_whitespace() {
            self.put_text(&mut name, "given[]", further.to_owned());
        }
        self.put_text(&mut name, "suffix[]", xpn.component(4).text());
        self.put_text(&mut name, "prefix[]", xpn.component(5).text());
        self.put_text(&mut name, "suffix[]", xpn.component(6).text());
        self.put_code(&mut name, "use", xpn.component(7), &codes::NAME_TYPE, place);
        filled(name)
    }

    /// XAD.
    pub(super) fn address(&mut self, xad: Repeat<'_>) -> Option<Value> {
        let mut address = json!({});
        for (component, element) in [
            (1, "line[]"),
            (2, "line[]"),
            (3, "city"),
            (4, "state"),
            (5, "postalCode"),
            (6, "country"),
            (9, "district"),
        ] {
            self.put_text(&mut address, element, xad.component(component).text());
        }
        let kind = xad.component(7).text();
        if let Some(code) = codes::ADDRESS_USE.get(&kind) {
            put(&mut address, "use", code.into());
        }
        if let Some(code) = codes::ADDRESS_TYPE.get(&kind) {
            put(&mut address, "type", code.into());
        }
        filled(address)
    }

    /// XTN.
    pub(super) fn telecom(&mut self, xtn: Repeat<'_>, usual: &str) -> Option<Value> {
        let [whole, use_code, equipment, email] =
            [1, 2, 3, 4].map(|number| xtn.component(number).text());
        let parts = [5, 6, 7].map(|number| xtn.component(number).text());
        let number = match parts
            .iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
        {
            parts if parts.is_empty() => whole,
            parts => parts.join(" "),
        };
        let is_email =
            use_code == "NET" || equipment.eq_ignore_ascii_case("internet") || !email.is_empty();
        let (system, value) = if is_email {
            ("email", if email.is_empty() { number } else { email })
        } else {
            (
                codes::TELECOM_EQUIPMENT.get(&equipment).unwrap_or("phone"),
                number,
            )
        };
        let mut contact = json!({"system": system, "value": text(value)?});
        let use_of = match codes::TELECOM_USE.get(&use_code) {
            _ if equipment.eq_ignore_ascii_case("CP") => Some("mobile"),
            Some(known) => Some(known),
            None => (!usual.is_empty()).then_some(usual),
        };
        put(&mut contact, "use", use_of.into());
        Some(contact)
    }

    /// DTM, TS or DT as `dateTime`.
    pub(super) fn date_time(&mut self, dtm: &str, place: &Place) -> Option<Value> {
        let read = moment::date_time(dtm, &self.zone());
        self.or_fault(read, place, "a date, YYYY[MM[DD[HH[MM[SS]]]]][+/-ZZZZ]")
    }

    /// The same without the time of day.
    pub(super) fn date(&mut self, dtm: &str, place: &Place) -> Option<Value> {
        let read = moment::date(dtm);
        self.or_fault(read, place, "a date, YYYY[MM[DD]]")
    }

    /// The same with a time of day; a bare date is a fault.
    pub(super) fn instant(&mut self, dtm: &str, place: &Place) -> Option<String> {
        let read = moment::date_time(dtm, &self.zone()).filter(|text| text.contains('T'));
        let expected = "a date with a time, YYYYMMDDHHMM[SS][+/-ZZZZ]";
        self.or_fault(read.clone(), place, expected)?;
        read
    }

    /// The zone of times without one: that of MSH-7, of the overrides, or UTC.
    pub(super) fn zone(&self) -> String {
        let sent = self.message.header().field(7).text();
        moment::zone(&sent)
            .or_else(|| {
                self.overrides
                    .iter()
                    .find_map(|entry| entry.time_zone.clone())
            })
            .unwrap_or_else(|| "Z".to_owned())
    }

    pub(super) fn or_fault(
        &mut self,
        read: Option<String>,
        place: &Place,
        expected: &'static str,
    ) -> Option<Value> {
        if read.is_none() {
            self.fault(place.clone(), ErrorCode::DataType, expected);
        }
        read.map(Value::from)
    }

    pub(super) fn put_text(&mut self, target: &mut Value, element: &str, value: String) {
        put(target, element, text(value).unwrap_or(Value::Null));
    }

    pub(super) fn put_code(
        &mut self,
        target: &mut Value,
        element: &str,
        code: Component<'_>,
        table: &Table,
        place: &Place,
    ) {
        let code = self.code(&code.text(), table, place);
        put(target, element, code.into());
    }

    /// A code of FHIR for one of HL7's table. What the table does not have is noted.
    pub(super) fn code(
        &mut self,
        code: &str,
        table: &Table,
        place: &Place,
    ) -> Option<&'static str> {
        if code.is_empty() {
            return None;
        }
        let own = self.standard(table.number, code);
        let found = table.get(&own);
        if found.is_none() {
            self.unmapped.push(Unmapped {
                place: place.clone(),
                system: table.number.to_owned(),
                uri: None,
                code: code.to_owned(),
                text: String::new(),
            });
        }
        found
    }

    /// The table's code for the sender's.
    pub(super) fn standard(&self, table: &str, code: &str) -> String {
        let given = self
            .overrides
            .iter()
            .find_map(|entry| entry.tables.get(table)?.get(code));
        given.map_or_else(|| code.to_owned(), Clone::clone)
    }
}

fn is_uri_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
}
