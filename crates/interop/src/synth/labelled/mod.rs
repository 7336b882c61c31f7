//! Patients of whom it is known which are one person, to measure matching with.
//!
//! People live in households of four with one address and one telephone. Some children are twins, some sons have their
//! father's name. A second record of a person has the faults of the field: misspellings, short names, names in each
//! other's places, day and month swapped, another name after a marriage, another address, missing values.

mod fault;

use serde_json::{Value, json};

use super::draw::Draw;
use super::person::{DAY_MS, END_MS};
use super::record::date_text;

pub(super) const GIVEN: &str = include_str!("../../identity/data/given-names.txt");
/// Family names that many people have.
const COMMON: [&str; 40] = [
    "Smith",
    "Johnson",
    "Williams",
    "Brown",
    "Jones",
    "Garcia",
    "Miller",
    "Davis",
    "Rodriguez",
    "Martinez",
    "Hernandez",
    "Lopez",
    "Wilson",
    "Anderson",
    "Thomas",
    "Taylor",
    "Moore",
    "Jackson",
    "Martin",
    "Lee",
    "Müller",
    "Schmidt",
    "Schneider",
    "Fischer",
    "Weber",
    "Meyer",
    "Wagner",
    "Becker",
    "O'Brien",
    "van der Berg",
    "de la Cruz",
    "García",
    "Núñez",
    "Nguyen",
    "Chen",
    "Khan",
    "Kowalski",
    "Novák",
    "Rossi",
    "Dubois",
];
const SYLLABLES: [&str; 24] = [
    "al", "ber", "cas", "dor", "el", "fen", "gar", "hol", "in", "jas", "ket", "lin", "mar", "nor",
    "os", "pel", "quin", "ros", "sten", "tor", "ul", "vas", "win", "yar",
];
const ENDINGS: [&str; 10] = [
    "man", "berg", "son", "ski", "well", "ton", "ez", "ini", "ford", "stein",
];
const STREETS: [&str; 12] = [
    "Mill Lane",
    "Station Road",
    "Orchard Street",
    "Harbour Way",
    "Chapel Row",
    "Meadow Close",
    "High Street",
    "Park Avenue",
    "Church Road",
    "Victoria Street",
    "Green Lane",
    "King Street",
];
/// People in a household.
const HOUSEHOLD: u64 = 4;
const SSN: &str = "http://hl7.org/fhir/sid/us-ssn";

/// A record, and whose it is.
#[derive(Clone)]
pub struct LabelledPatient {
    /// The number of the person.
    pub person: u64,
    /// A FHIR R4 Patient.
    pub resource: Value,
}

impl std::fmt::Debug for LabelledPatient {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "LabelledPatient({})", self.person)
    }
}

/// Someone as they are.
#[derive(Clone)]
pub(super) struct Someone {
    pub(super) given: Vec<String>,
    pub(super) family: String,
    pub(super) is_woman: bool,
    pub(super) born_day: i64,
    pub(super) home: Home,
    pub(super) phone: String,
    pub(super) national: String,
}

/// Where somebody lives.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) street: String,
    pub(super) city: String,
    pub(super) postal_code: String,
}

/// One record of each of `people`, and a second one of every person whose number `per_hundred` of a hundred draws choose.
pub fn labelled_patients(
    seed: u64,
    people: u64,
    per_hundred: u64,
) -> impl Iterator<Item = LabelledPatient> {
    (0..people).flat_map(move |person| {
        let someone = Someone::of(seed, person);
        let mut draw = Draw::new(seed ^ 0x6d61_7463_6869_6e67, person);
        let again = (draw.below(100) < per_hundred).then(|| {
            let (faulty, shown) = fault::again(&someone, &mut draw);
            (faulty, shown, 1_u64)
        });
        let first = (someone, fault::Shown::first(&mut draw), 0);
        let all = std::iter::once(first).chain(again);
        all.map(move |(someone, shown, copy)| LabelledPatient {
            person,
            resource: someone.record(&shown, person * 2 + copy),
        })
    })
}

impl Someone {
    fn of(seed: u64, person: u64) -> Self {
        let household = person / HOUSEHOLD;
        let mut draw = Draw::new(seed.wrapping_add(1), household);
        let family = family(&mut draw);
        let home = Home::drawn(&mut draw);
        let phone = telephone(&mut draw);
        let (has_twins, has_namesake) = (draw.is_one_in(8), draw.is_one_in(20));
        let mut members = Vec::new();
        let grown = i64::try_from(draw.between(25 * 365, 60 * 365)).unwrap_or(0);
        for place in 0..HOUSEHOLD {
            let is_child = place >= 2;
            let years = i64::try_from(draw.between(0, 6 * 365)).unwrap_or(0);
            let age = if is_child {
                grown - 22 * 365 + years / 2
            } else {
                grown + years
            };
            members.push(Self {
                given: vec![given(&mut draw), given(&mut draw)],
                family: family.clone(),
                is_woman: if is_child {
                    draw.is_one_in(2)
                } else {
                    place == 1
                },
                born_day: END_MS / DAY_MS - age.max(30),
                home: home.clone(),
                phone: phone.clone(),
                national: format!(
                    "{:03}-{:02}-{:04}",
                    draw.below(900),
                    draw.below(100),
                    draw.below(10_000)
                ),
            });
        }
        if let [father, _, elder, younger] = members.as_mut_slice() {
            if has_namesake {
                elder.given.clone_from(&father.given);
                elder.is_woman = false;
            }
            if has_twins {
                younger.born_day = elder.born_day;
            }
            // Parents do not call two children alike.
            while younger.given.first() == elder.given.first() {
                younger.given = vec![given(&mut draw), given(&mut draw)];
            }
        }
        let place = usize::try_from(person % HOUSEHOLD).unwrap_or(0);
        members.swap_remove(place)
    }

    fn record(&self, shown: &fault::Shown, number: u64) -> Value {
        let mut resource = json!({ "resourceType": "Patient", "id": format!("labelled-{number}"), "active": true });
        let mut identifiers = vec![
            json!({ "system": format!("urn:oid:2.25.19871126001{}", number % 2),
            "value": format!("L{number:08}") }),
        ];
        if shown.has_national {
            identifiers.push(json!({ "system": SSN, "value": self.national }));
        }
        resource["identifier"] = identifiers.into();
        let written = |text: &String| {
            if shown.is_upper {
                text.to_uppercase()
            } else {
                text.clone()
            }
        };
        let given: Vec<String> = self.given.iter().take(shown.given).map(written).collect();
        let mut names = vec![json!({ "family": written(&self.family), "given": given })];
        let maiden = shown.maiden.as_ref();
        names.extend(maiden.map(|maiden| json!({ "use": "maiden", "family": maiden })));
        resource["name"] = names.into();
        if shown.has_gender {
            resource["gender"] = if self.is_woman { "female" } else { "male" }.into();
        }
        let date = date_text(self.born_day * DAY_MS);
        let date = shown.born.as_ref().unwrap_or(&date);
        if !date.is_empty() {
            resource["birthDate"] = date.clone().into();
        }
        if shown.has_phone {
            resource["telecom"] = json!([{ "system": "phone", "value": self.phone }]);
        }
        if shown.has_address {
            resource["address"] = json!([{ "line": [written(&self.home.street)], "city": self.home.city,
                "postalCode": self.home.postal_code, "country": "US" }]);
        }
        resource
    }
}

impl Home {
    pub(super) fn drawn(draw: &mut Draw) -> Self {
        let town = draw.below(400);
        Self {
            street: format!("{} {}", draw.between(1, 240), draw.pick(&STREETS)),
            city: format!("{}ton", invented(&mut Draw::new(7, town))),
            postal_code: format!("{:05}", 10_000 + town * 7),
        }
    }
}

/// A given name: of the first forty as often as of all the others.
pub(super) fn given(draw: &mut Draw) -> String {
    let names: Vec<&str> = GIVEN
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let name = if draw.is_one_in(2) {
        let few = names.len().min(40) as u64;
        let at = usize::try_from(draw.below(few)).unwrap_or(0);
        names.get(at * names.len() / 40).copied().unwrap_or("anna")
    } else {
        *draw.pick(&names)
    };
    capitalised(name)
}

/// A family name: half of all people have one of a few.
pub(super) fn family(draw: &mut Draw) -> String {
    if draw.is_one_in(2) {
        (*draw.pick(&COMMON)).to_owned()
    } else {
        invented(draw)
    }
}

fn invented(draw: &mut Draw) -> String {
    let (first, second) = (draw.pick(&SYLLABLES), draw.pick(&SYLLABLES));
    capitalised(&format!("{first}{second}{}", draw.pick(&ENDINGS)))
}

pub(super) fn telephone(draw: &mut Draw) -> String {
    format!(
        "+1 ({:03}) {:03}-{:04}",
        draw.between(200, 999),
        draw.between(200, 999),
        draw.below(10_000)
    )
}

pub(super) fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
