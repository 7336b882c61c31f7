//! The header: Patient, who made and keeps the document, the encounter, the Composition.

use serde_json::{Value, json};

use super::datatypes::{coded, some_text};
use super::draft::Draft;
use crate::ccda::codes::{self, code};
use crate::ccda::document::At;
use crate::ccda::fault::Rule;
use crate::compose::{code_text, filled, put};

const ROLE: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";
const EXTENSIONS: &str = "http://hl7.org/fhir/StructureDefinition";
const US_CORE: &str = "http://hl7.org/fhir/us/core/StructureDefinition";
/// The five races and two ethnicities of OMB.
const OMB: [&str; 7] = [
    "1002-5", "2028-9", "2054-5", "2076-8", "2106-3", "2135-2", "2186-5",
];

impl<'a> Draft<'a> {
    pub(super) fn header(&mut self, digest: &str) {
        let root = self.root;
        let identifier = root.child("id").and_then(|id| self.identifier(id));
        let identifier = identifier.filter(|identifier| identifier.get("system").is_some());
        self.identifier = identifier.unwrap_or_else(|| {
            self.misread(root, Rule::Missing("id"));
            json!({"system": "urn:careledger:ccda:document", "value": digest})
        });
        self.confidentiality = label_of(root);
        let mut roles = root
            .all("recordTarget")
            .filter_map(|target| target.child("patientRole"));
        match (roles.next(), roles.next()) {
            (Some(role), None) => self.patient(role),
            (Some(_), Some(second)) => {
                self.fault(second, Rule::Form("the only patient of the document"));
            }
            (None, _) => self.fault(root, Rule::Missing("recordTarget.patientRole")),
        }
        if let Some(visit) = root.find(&["componentOf", "encompassingEncounter"]) {
            self.encounter = Some(self.encompassing(visit));
        }
        self.composition();
    }

    fn patient(&mut self, role: At<'a>) {
        let mut patient = self.start("Patient", role);
        if patient.get("identifier").is_none() {
            self.unclaimed = Some(role.fault(Rule::Missing("id")));
        }
        self.reachable(role, &mut patient);
        if let Some(person) = role.child("patient") {
            self.person(person, &mut patient);
        } else {
            self.fault(role, Rule::Missing("patient"));
        }
        let keeper = role.child("providerOrganization");
        let keeper = keeper.and_then(|keeper| self.organization(keeper));
        put(&mut patient, "managingOrganization", keeper.into());
        // A label on a part of the document is none on the person.
        let label = self.confidentiality.take();
        let entry = self.add(role, patient);
        self.confidentiality = label;
        self.patient = Some(entry);
    }

    fn person(&mut self, person: At<'a>, patient: &mut Value) {
        for name in person.all("name") {
            put(patient, "name[]", self.name_of_person(name).into());
        }
        let gender = person.child("administrativeGenderCode");
        let gender = gender.and_then(|gender| {
            let given = gender
                .attribute("code")
                .or(gender.attribute("nullFlavor"))?;
            code(codes::GENDER, given)
        });
        put(patient, "gender", gender.into());
        if let Some(birth) = person.child("birthTime") {
            put(patient, "birthDate", self.date(birth).into());
            let time = self.time(birth).filter(|time| time.contains('T'));
            if let Some(time) = time {
                let url = format!("{EXTENSIONS}/patient-birthTime");
                put(
                    patient,
                    "_birthDate.extension[]",
                    json!({"url": url, "valueDateTime": time}),
                );
            }
        }
        let died = person
            .child("deceasedTime")
            .and_then(|died| self.time(died));
        let is_dead = person
            .child("deceasedInd")
            .and_then(|flag| flag.attribute("value"));
        match (died, is_dead) {
            (Some(time), _) => put(patient, "deceasedDateTime", time.into()),
            (None, Some("true")) => put(patient, "deceasedBoolean", true.into()),
            (None, Some("false")) => put(patient, "deceasedBoolean", false.into()),
            (None, _) => {}
        }
        let marital = self.concept_in(person, "maritalStatusCode");
        put(patient, "maritalStatus", marital.into());
        self.background(person, patient);
        for guardian in person.all("guardian") {
            let contact = self.guardian(guardian);
            put(patient, "contact[]", contact.into());
        }
        for language in person.all("languageCommunication") {
            let communication = self.language(language);
            put(patient, "communication[]", communication.into());
        }
    }

    fn background(&mut self, person: At<'a>, patient: &mut Value) {
        if let Some(religion) = self.concept_in(person, "religiousAffiliationCode") {
            let url = format!("{EXTENSIONS}/patient-religion");
            let extension = json!({"url": url, "valueCodeableConcept": religion});
            put(patient, "extension[]", extension);
        }
        if let Some(place) = person.find(&["birthplace", "place", "addr"])
            && let Some(address) = self.address(place)
        {
            let url = format!("{EXTENSIONS}/patient-birthPlace");
            put(
                patient,
                "extension[]",
                json!({"url": url, "valueAddress": address}),
            );
        }
        for (element, name) in [
            ("raceCode", "us-core-race"),
            ("ethnicGroupCode", "us-core-ethnicity"),
        ] {
            let extension = self.group(person, element, &format!("{US_CORE}/{name}"));
            put(patient, "extension[]", extension.into());
        }
    }

    /// Race or ethnicity, with the details of the extension elements.
    fn group(&mut self, person: At<'a>, element: &'static str, url: &str) -> Option<Value> {
        let (mut parts, mut texts) = (Vec::new(), Vec::<String>::new());
        for given in person.all(element) {
            if let Some(coding) = self.coding(given) {
                let is_category = coding["code"]
                    .as_str()
                    .is_some_and(|code| OMB.contains(&code));
                let part = if is_category {
                    "ombCategory"
                } else {
                    "detailed"
                };
                parts.push(json!({"url": part, "valueCoding": coding}));
            }
            let said = given.child("originalText").and_then(At::said);
            let said = said.or_else(|| given.attribute("displayName").map(str::to_owned));
            texts.extend(said.filter(|said| !texts.contains(said)));
        }
        if texts.is_empty() && parts.is_empty() {
            return None;
        }
        if texts.is_empty() {
            texts.push("not said in words".to_owned());
        }
        parts.push(json!({"url": "text", "valueString": texts.join(", ")}));
        Some(json!({"url": url, "extension": parts}))
    }

    /// Nothing if the document does not say who.
    fn guardian(&mut self, guardian: At<'a>) -> Option<Value> {
        let mut contact = json!({});
        let name = guardian.find(&["guardianPerson", "name"]);
        let name = name.and_then(|name| self.name_of_person(name));
        put(&mut contact, "name", name.into());
        for telecom in guardian.all("telecom") {
            put(&mut contact, "telecom[]", self.telecom(telecom).into());
        }
        let address = guardian.child("addr").and_then(|at| self.address(at));
        put(&mut contact, "address", address.into());
        let organization = guardian.child("guardianOrganization");
        let organization = organization.and_then(|at| self.organization(at));
        put(&mut contact, "organization", organization.into());
        let mut contact = filled(contact)?;
        put(&mut contact, "relationship[]", coded(ROLE, "GUARD"));
        let kind = self.concept_in(guardian, "code");
        put(&mut contact, "relationship[]", kind.into());
        Some(contact)
    }

    fn language(&mut self, language: At<'a>) -> Option<Value> {
        let tag = code_text(language.child("languageCode")?.attribute("code")?)?;
        let mut communication = json!({"language": coded("urn:ietf:bcp:47", &tag)});
        let preferred = language.child("preferenceInd");
        let preferred = preferred.and_then(|flag| flag.attribute("value"));
        put(
            &mut communication,
            "preferred",
            preferred.map(|flag| flag == "true").into(),
        );
        Some(communication)
    }

    fn composition(&mut self) {
        let root = self.root;
        let kind = self.concept_or_reason(root.child("code"));
        let time = root.child("effectiveTime").and_then(|time| self.time(time));
        if time.is_none() {
            self.fault(root, Rule::Missing("effectiveTime"));
        }
        let authors = self.authors_of(root);
        self.authors = authors
            .into_iter()
            .filter_map(|author| author.party)
            .collect();
        let custodian = root.find(&[
            "custodian",
            "assignedCustodian",
            "representedCustodianOrganization",
        ]);
        let custodian = custodian.and_then(|custodian| self.organization(custodian));
        let title = root.child("title").map_or_else(String::new, At::text);
        let mut composition = json!({
            "resourceType": "Composition",
            "identifier": self.identifier,
            "status": "final",
            "type": kind,
            "subject": self.subject(),
            "date": time,
            "title": if title.is_empty() { "C-CDA document".to_owned() } else { title },
        });
        let visit = self.encounter.map(|visit| self.reference(visit));
        put(&mut composition, "encounter", visit.into());
        for author in &self.authors {
            put(&mut composition, "author[]", author.clone());
        }
        let nobody = json!({"display": "The document names no author"});
        if self.authors.is_empty() {
            put(&mut composition, "author[]", nobody);
        }
        put(&mut composition, "custodian", custodian.into());
        if let Some(label) = root
            .child("confidentialityCode")
            .and_then(|label| label.attribute("code"))
            .filter(|label| ["U", "L", "M", "N", "R", "V"].contains(label))
        {
            put(&mut composition, "confidentiality", label.into());
        }
        for name in ["legalAuthenticator", "authenticator"] {
            for signer in root.all(name) {
                let attester = self.attester(signer, name == "legalAuthenticator");
                put(&mut composition, "attester[]", attester.into());
            }
        }
        self.replaced(root, &mut composition);
        self.composition = composition;
    }

    fn attester(&mut self, signer: At<'a>, is_legal: bool) -> Option<Value> {
        let mut attester = json!({"mode": if is_legal { "legal" } else { "professional" }});
        let time = signer.child("time").and_then(|time| self.time(time));
        put(&mut attester, "time", time.into());
        let who = signer.child("assignedEntity");
        let who = who.and_then(|who| self.assigned(who));
        put(&mut attester, "party", who.into());
        filled(attester)
    }

    /// The documents that this one replaces or adds to.
    fn replaced(&mut self, root: At<'a>, composition: &mut Value) {
        for related in root.all("relatedDocument") {
            let kind = match related.attribute("typeCode") {
                Some("RPLC") => "replaces",
                Some("APND") => "appends",
                Some("XFRM") => "transforms",
                _ => continue,
            };
            let parent = related.find(&["parentDocument", "id"]);
            if let Some(identifier) = parent.and_then(|id| self.identifier(id)) {
                let relation = json!({"code": kind, "targetIdentifier": identifier});
                put(composition, "relatesTo[]", relation);
            }
        }
    }

    /// Sections with a text of their own.
    pub(super) fn put_section(&mut self, section: Value) {
        put(&mut self.composition, "section[]", section);
    }
}

/// The confidentiality that a document or a section asks for beyond the normal.
pub(super) fn label_of(at: At<'_>) -> Option<&'static str> {
    match at.child("confidentialityCode")?.attribute("code")? {
        "R" => Some("R"),
        "V" => Some("V"),
        _ => None,
    }
}

/// The title of a section.
pub(super) fn title(at: At<'_>) -> Value {
    some_text(at.child("title").map_or_else(String::new, At::text))
}
