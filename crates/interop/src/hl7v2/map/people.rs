//! XCN, PL and XON: who did something, and where.

use serde_json::{Value, json};

use super::draft::Draft;
use super::rule::text;
use crate::compose::{filled, key, put};
use crate::hl7v2::fault::Place;
use crate::hl7v2::message::Repeat;

/// Locations by facility, building, floor, point of care, room and bed.
pub(in crate::hl7v2) const PLACES: &str = "urn:careledger:v2:location";
/// Locations that have a description alone, by the sender's application and facility, the facility and the description: two
/// senders mean two places by the same words.
pub(in crate::hl7v2) const DESCRIBED_PLACES: &str = "urn:careledger:v2:described-location";

impl Draft<'_> {
    /// XCN or CNN. With an identifier it is a Practitioner of the Bundle, without one a name.
    pub(super) fn practitioner(&mut self, xcn: Repeat<'_>) -> Option<Value> {
        let mut name = json!({});
        self.put_text(&mut name, "family", xcn.component(2).text());
        self.put_text(&mut name, "given[]", xcn.component(3).text());
        self.put_text(&mut name, "given[]", xcn.component(4).text());
        self.put_text(&mut name, "suffix[]", xcn.component(5).text());
        self.put_text(&mut name, "prefix[]", xcn.component(6).text());
        self.put_text(&mut name, "suffix[]", xcn.component(7).text());
        let whole = [6, 3, 4, 2].map(|number| xcn.component(number).text());
        let display = whole
            .iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(" ");
        let Some(value) = text(xcn.component(1).text()) else {
            return text(display).map(|display| json!({"display": display}));
        };
        let identifier = json!({"system": self.authority(xcn.component(9)), "value": value});
        let mut practitioner =
            json!({"resourceType": "Practitioner", "identifier": [identifier.clone()]});
        if let Some(name) = filled(name) {
            put(&mut practitioner, "name[]", name);
        }
        let entry = self.shared(&identifier, practitioner);
        let mut reference = Self::reference(entry);
        self.put_text(&mut reference, "display", display);
        Some(reference)
    }

    /// PL: a Location of the Bundle, named by facility, point of care, room and bed, or else by its description.
    pub(super) fn location(&mut self, pl: Repeat<'_>) -> Option<Value> {
        let [care, room, bed, facility, building, floor] =
            [1, 2, 3, 4, 7, 8].map(|number| pl.component(number).text());
        let parts = [&building, &floor, &care, &room, &bed];
        let name = parts
            .iter()
            .filter(|part| !part.is_empty())
            .map(|part| part.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        let (name, identifier) = if let Some(name) = text(name) {
            let place = key(&[&facility, &building, &floor, &care, &room, &bed]);
            (name, json!({"system": PLACES, "value": place}))
        } else {
            let described = pl.component(9).text();
            let name = text(described.clone())?;
            let sender = self.message.sender();
            let place = [&sender.application, &sender.facility, &facility, &described];
            let place = key(&place.map(String::as_str));
            (name, json!({"system": DESCRIBED_PLACES, "value": place}))
        };
        let mut location = json!({"resourceType": "Location", "identifier": [identifier.clone()], "name": name, "mode": "instance"});
        let kind = match (bed.is_empty(), room.is_empty(), care.is_empty()) {
            (false, _, _) => Some("bd"),
            (true, false, _) => Some("ro"),
            (true, true, false) => Some("wa"),
            (true, true, true) => None,
        };
        if let Some(kind) = kind {
            let system = "http://terminology.hl7.org/CodeSystem/location-physical-type";
            put(
                &mut location,
                "physicalType.coding[]",
                json!({"system": system, "code": kind}),
            );
        }
        let entry = self.shared(&identifier, location);
        let mut reference = Self::reference(entry);
        put(&mut reference, "display", name);
        Some(reference)
    }

    /// XON: an Organization by its identifier and name; the directory has the resource.
    pub(super) fn organization(&mut self, xon: Repeat<'_>) -> Option<Value> {
        let mut reference = json!({});
        let number = [10, 3].map(|component| xon.component(component).text());
        if let Some(value) = number.into_iter().find_map(text) {
            let identifier = json!({"system": self.authority(xon.component(6)), "value": value});
            put(&mut reference, "type", "Organization".into());
            put(&mut reference, "identifier", identifier);
        }
        self.put_text(&mut reference, "display", xon.component(1).text());
        filled(reference)
    }

    /// NDL: its first component is a CNN.
    pub(super) fn interpreter(&mut self, ndl: Repeat<'_>) -> Option<Value> {
        let person = ndl.component(1);
        let [value, family, given] = [1, 2, 3].map(|number| person.subcomponent(number));
        let mut reference = json!({});
        if let Some(value) = text(value) {
            let system = self.system_of(
                &person.subcomponent(9),
                &person.subcomponent(10),
                &person.subcomponent(11),
            );
            put(&mut reference, "type", "Practitioner".into());
            put(
                &mut reference,
                "identifier",
                json!({"system": system, "value": value}),
            );
        }
        self.put_text(&mut reference, "display", format!("{given} {family}"));
        filled(reference)
    }

    /// CWE of an organization: an identifier in its code system, and a name.
    pub(super) fn manufacturer(&mut self, cwe: Repeat<'_>, place: &Place) -> Option<Value> {
        let concept = self.concept(cwe, "0227", place)?;
        let coding = &concept["coding"][0];
        let mut reference = json!({});
        if let (Some(system), Some(code)) = (coding["system"].as_str(), coding["code"].as_str()) {
            put(
                &mut reference,
                "identifier",
                json!({"system": system, "value": code}),
            );
        }
        put(&mut reference, "display", concept["text"].clone());
        filled(reference)
    }
}
