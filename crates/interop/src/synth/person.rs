//! Patients, practitioners and organisations.

use serde_json::{Value, json};

use super::draw::Draw;
use super::record::{Record, concept, date_text};

/// 2026-06-30T00:00:00Z: the records end here, whenever they are generated.
pub(super) const END_MS: i64 = 1_782_777_600_000;
pub(super) const DAY_MS: i64 = 86_400_000;

const FAMILIES: [&str; 24] = [
    "Alder",
    "Birch",
    "Calloway",
    "Danforth",
    "Eastman",
    "Fairweather",
    "Greenhill",
    "Hollis",
    "Ingram",
    "Jessop",
    "Kettering",
    "Lindqvist",
    "Marlowe",
    "Norwood",
    "Oakley",
    "Pemberton",
    "Quillan",
    "Rosario",
    "Sandoval",
    "Thackeray",
    "Underhill",
    "Vasquez",
    "Winterbourne",
    "Yardley",
];
const WOMEN: [&str; 14] = [
    "Adele", "Beatriz", "Clara", "Dorothea", "Elena", "Frieda", "Greta", "Hana", "Ines", "Judith",
    "Katya", "Leonie", "Mireille", "Nora",
];
const MEN: [&str; 14] = [
    "Anton", "Bruno", "Casper", "Dmitri", "Emil", "Felix", "Gideon", "Hugo", "Ivan", "Jonas",
    "Kofi", "Lukas", "Matteo", "Niall",
];
const TOWNS: [(&str, &str); 6] = [
    ("Arborfield", "01001"),
    ("Bellmoor", "01020"),
    ("Cedar Falls", "01033"),
    ("Dunmore", "01040"),
    ("Eastbrook", "01057"),
    ("Fernhollow", "01069"),
];
const STREETS: [&str; 6] = [
    "Mill Lane",
    "Station Road",
    "Orchard Street",
    "Harbour Way",
    "Chapel Row",
    "Meadow Close",
];

/// Those who give care: the same for all patients of a seed.
pub(super) struct Staff {
    hospital: Vec<Caregiver>,
    clinic: Vec<Caregiver>,
}

/// A practitioner with the organisation of employment, as resources.
#[derive(Clone)]
pub(super) struct Caregiver {
    practitioner_id: String,
    practitioner: Value,
    organization_id: String,
    organization: Value,
}

/// The URNs of those who gave care.
pub(super) struct Provider {
    pub(super) practitioner: String,
    pub(super) organization: String,
}

impl Staff {
    pub(super) fn of(seed: u64) -> Self {
        // A stream that no patient has: their streams are their indices.
        let mut draw = Draw::new(seed, u64::MAX);
        let hospital = caregivers(&mut draw, "General Hospital");
        let clinic = caregivers(&mut draw, "Family Clinic");
        Self { hospital, clinic }
    }
}

/// Adds one of the staff to the record and names them.
pub(super) fn provider(record: &mut Record, is_hospital: bool) -> Provider {
    let staff = if is_hospital {
        &record.staff.hospital
    } else {
        &record.staff.clinic
    };
    let chosen = record.draw.pick(staff).clone();
    Provider {
        organization: record.add_as(&chosen.organization_id, "Organization", chosen.organization),
        practitioner: record.add_as(&chosen.practitioner_id, "Practitioner", chosen.practitioner),
    }
}

/// Who the patient is, as far as the care depends on it.
pub(super) struct Person {
    pub(super) urn: String,
    pub(super) height_mm: u64,
    pub(super) is_smoker: bool,
}

pub(super) fn patient(record: &mut Record, index: u64) -> Person {
    let draw = &mut record.draw;
    let age_days = i64::try_from(draw.between(20 * 365, 85 * 365)).unwrap_or(0);
    let is_woman = draw.is_one_in(2);
    let (given, gender) = if is_woman {
        (draw.pick(&WOMEN), "female")
    } else {
        (draw.pick(&MEN), "male")
    };
    let family = draw.pick(&FAMILIES);
    let street = format!("{} {}", draw.between(1, 240), draw.pick(&STREETS));
    let (town, postal_code) = draw.pick(&TOWNS);
    let national = format!("999-{:02}-{:04}", draw.between(10, 99), draw.below(10_000));
    let phone = format!("555-{:03}-{:04}", draw.below(1_000), draw.below(10_000));
    let elements = json!({
        "identifier": [
            {"type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "Medical record number"),
             "system": "urn:oid:2.25.198711260015", "value": format!("S{index:08}")},
            {"type": concept("http://terminology.hl7.org/CodeSystem/v2-0203", "SS", "Social Security number"),
             "system": "http://hl7.org/fhir/sid/us-ssn", "value": national},
        ],
        "active": true,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "value": phone, "use": "home"}],
        "gender": gender,
        "birthDate": date_text(END_MS - age_days * DAY_MS),
        "address": [{"line": [street], "city": town, "postalCode": postal_code, "country": "US"}],
    });
    let height_mm = if is_woman {
        draw.between(1_500, 1_820)
    } else {
        draw.between(1_600, 1_980)
    };
    let is_smoker = draw.is_one_in(4);
    Person {
        urn: record.add("Patient", elements),
        height_mm,
        is_smoker,
    }
}

fn caregivers(draw: &mut Draw, kind: &str) -> Vec<Caregiver> {
    let (town, postal_code) = draw.pick(&TOWNS);
    let address = json!([{"city": town, "postalCode": postal_code, "country": "US"}]);
    let organization_id = draw.uuid();
    let organization = json!({
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": format!("urn:uuid:{organization_id}")}],
        "active": true,
        "type": [concept("http://terminology.hl7.org/CodeSystem/organization-type", "prov", "Healthcare Provider")],
        "name": format!("{town} {kind}"),
        "address": address,
    });
    let mut caregiver = || {
        let is_woman = draw.is_one_in(2);
        let given = if is_woman {
            draw.pick(&WOMEN)
        } else {
            draw.pick(&MEN)
        };
        Caregiver {
            practitioner: json!({
                "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi",
                                "value": format!("99{:08}", draw.below(100_000_000))}],
                "active": true,
                "name": [{"family": draw.pick(&FAMILIES), "given": [given], "prefix": ["Dr."]}],
                "gender": if is_woman { "female" } else { "male" },
            }),
            practitioner_id: draw.uuid(),
            organization_id: organization_id.clone(),
            organization: organization.clone(),
        }
    };
    (0..4).map(|_| caregiver()).collect()
}
