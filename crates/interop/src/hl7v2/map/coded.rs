//! CE, CWE, CNE and codes of tables; numbers.

use serde_json::{Value, json};

use super::Unmapped;
use super::codes::{CODE_SYSTEMS, Table};
use super::draft::Draft;
use crate::compose::{code_text, filled, key, number, put};
use crate::hl7v2::fault::Place;
use crate::hl7v2::message::Repeat;

/// One of the two triplets of a CWE.
struct Triplet {
    code: String,
    text: String,
    system: String,
}

impl Draft<'_> {
    /// CE, CWE or CNE: what overrides say the code means, then both codings as they came, then the text.
    ///
    /// `table` is the number of HL7's table for codes that come without a system; empty if the field has none.
    pub(super) fn concept(&mut self, cwe: Repeat<'_>, table: &str, place: &Place) -> Option<Value> {
        let mut concept = json!({});
        let triplets = [1, 4].map(|first| Triplet {
            code: cwe.component(first).text(),
            text: cwe.component(first + 1).text(),
            system: cwe.component(first + 2).text(),
        });
        let mut is_known = false;
        let mut given = Vec::new();
        for triplet in &triplets {
            let Some(code) = code_text(&triplet.code) else {
                continue;
            };
            if let Some(standard) = self.standard_code(triplet) {
                put(&mut concept, "coding[]", standard);
                is_known = true;
            }
            let (system, is_shared) = self.code_system(&triplet.system, table);
            is_known |= is_shared;
            given.push((system, code, triplet));
        }
        for (system, code, triplet) in &given {
            let mut coding = json!({});
            put(&mut coding, "system", system.clone().into());
            put(&mut coding, "code", code.clone().into());
            self.put_text(&mut coding, "display", triplet.text.clone());
            put(&mut concept, "coding[]", coding);
        }
        if let (Some((system, code, triplet)), false) = (given.first(), is_known) {
            self.unmapped.push(Unmapped {
                place: place.clone(),
                system: triplet.system.clone(),
                uri: system.clone(),
                code: code.clone(),
                text: triplet.text.clone(),
            });
        }
        for component in [9, 2, 5] {
            self.put_text(&mut concept, "text", cwe.component(component).text());
        }
        filled(concept)
    }

    fn standard_code(&self, triplet: &Triplet) -> Option<Value> {
        let found = self
            .overrides
            .iter()
            .find_map(|entry| entry.codes.get(&triplet.system)?.get(&triplet.code))?;
        let mut coding = json!({"system": found.system, "code": found.code});
        put(&mut coding, "display", found.display.clone().into());
        Some(coding)
    }

    /// The URI of a coding system, and whether others know it.
    fn code_system(&self, name: &str, table: &str) -> (Option<String>, bool) {
        let given = self
            .overrides
            .iter()
            .find_map(|entry| entry.code_systems.get(name));
        if let Some(uri) = given {
            return (Some(uri.clone()), true);
        }
        let known = CODE_SYSTEMS
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name));
        if let Some((_, uri)) = known {
            return (Some((*uri).to_owned()), true);
        }
        if ["http://", "https://", "urn:"]
            .iter()
            .any(|scheme| name.starts_with(scheme))
        {
            return (Some(name.to_owned()), true);
        }
        let number = name.strip_prefix("HL7").filter(|number| is_table(number));
        match number.unwrap_or(if name.is_empty() { table } else { "" }) {
            "" if name.is_empty() => (None, false),
            "" => (
                Some(format!("urn:careledger:v2:codes:{}", self.scoped(name))),
                false,
            ),
            number => (Some(table_system(number)), true),
        }
    }

    /// A name that only the sender's facility gives a meaning, such as `L`.
    fn scoped(&self, name: &str) -> String {
        let is_local =
            name.eq_ignore_ascii_case("L") || name.to_ascii_uppercase().starts_with("99");
        let facility = self.message.sender().facility;
        if is_local {
            key(&[&facility, name])
        } else {
            key(&[name])
        }
    }

    /// A code of one of HL7's tables as a Coding: FHIR's own code where there is one, else the table's.
    pub(super) fn table_coding(
        &mut self,
        cwe: Repeat<'_>,
        table: &Table,
        _place: &Place,
    ) -> Option<Value> {
        let code = code_text(&cwe.component(1).text())?;
        let own = self.standard(table.number, &code);
        Some(match table.get(&own) {
            Some(fhir) => json!({"system": table.system, "code": fhir}),
            None => json!({"system": table_system(table.number), "code": own}),
        })
    }

    /// NM.
    pub(super) fn decimal(&mut self, nm: &str, place: &Place) -> Option<Value> {
        let number = number(nm);
        self.or_fault(number.clone(), place, "a number")?;
        number.and_then(|number| serde_json::from_str(&number).ok())
    }

    /// NM or SI, without sign and decimals.
    pub(super) fn integer(&mut self, repeat: Repeat<'_>, place: &Place) -> Option<Value> {
        let digits = repeat.component(1).text();
        let number = digits
            .parse::<u32>()
            .ok()
            .filter(|number| *number <= 0x7fff_ffff);
        self.or_fault(
            number.map(|number| number.to_string()),
            place,
            "a whole number",
        )?;
        number.map(Value::from)
    }

    /// ID of table 0136.
    pub(super) fn boolean(&mut self, repeat: Repeat<'_>, place: &Place) -> Option<Value> {
        match self.standard("0136", &repeat.component(1).text()).as_str() {
            "Y" => Some(true.into()),
            "N" => Some(false.into()),
            _ => self.or_fault(None, place, "Y or N"),
        }
    }

    /// A CodeableConcept of a table whose codes are those of a code system of FHIR or v3; else as it came.
    pub(super) fn coded(&mut self, cwe: Repeat<'_>, table: &Table, place: &Place) -> Option<Value> {
        let code = self.standard(table.number, &cwe.component(1).text());
        let Some(fhir) = table.get(&code) else {
            return self.concept(cwe, table.number, place);
        };
        let mut concept = json!({"coding": [{"system": table.system, "code": fhir}]});
        self.put_text(&mut concept, "text", cwe.component(2).text());
        Some(concept)
    }
}

/// The URI of one of HL7's tables.
pub(super) fn table_system(number: &str) -> String {
    match number {
        "0292" => "http://hl7.org/fhir/sid/cvx".to_owned(),
        "0227" => "http://hl7.org/fhir/sid/mvx".to_owned(),
        number => format!("http://terminology.hl7.org/CodeSystem/v2-{number}"),
    }
}

fn is_table(number: &str) -> bool {
    number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())
}
