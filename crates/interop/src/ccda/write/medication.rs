//! Medications and immunizations.

use serde_json::Value;

use super::Record;
use super::clinical::{act, notes, reasons, related, status};
use super::datatypes::{
    back, concept, each, effective, ids, interval, loinc, number, quantity, some_concept, template,
    time,
};
use super::people::{author, performers};
use super::plan::{is_planned, mood};
use super::tag::{Tag, tag, text};
use crate::ccda::codes;

pub(super) fn medication(medication: &Value, record: &Record<'_>) -> Tag {
    let is_order = medication["resourceType"] == "MedicationRequest";
    let own = medication["status"].as_str().unwrap_or_default();
    let is_negated = own == "not-taken" || medication["doNotPerform"] == true;
    let mut whole = act(
        "substanceAdministration",
        "SBADM",
        match (is_order, is_planned(medication)) {
            (true, true) => mood(medication),
            (true, false) => "INT",
            (false, _) => "EVN",
        },
    );
    if is_negated {
        whole = whole.with("negationInd", "true");
    }
    let name = if is_order {
        "dosageInstruction"
    } else {
        "dosage"
    };
    let dosage = &medication[name][0];
    let times = if is_order {
        bounds(dosage)
    } else {
        effective(medication, "effective")
    };
    let (who, when) = if is_order {
        ("requester", "authoredOn")
    } else {
        ("informationSource", "dateAsserted")
    };
    whole
        .holding([template(
            if is_planned(medication) {
                "22.4.42"
            } else {
                "22.4.16"
            },
            "2014-06-09",
        )])
        .holding(ids(medication))
        .holding([
            status(back(codes::MEDICATION_STATUS, own).unwrap_or("completed")),
            times.with("xsi:type", "IVL_TS"),
        ])
        .holding(frequency(&dosage["timing"]["repeat"]))
        .holding(some_concept("routeCode", &dosage["route"]))
        .holding(some_concept("approachSiteCode", &dosage["site"]))
        .holding(doses(&dosage["doseAndRate"][0]))
        .holding(most(&dosage["maxDosePerPeriod"]))
        .holding([product(
            &medication["medicationCodeableConcept"],
            ("22.4.23", "2014-06-09"),
            None,
            None,
        )])
        .holding(author(record, &medication[who], &medication[when]))
        .holding(reasons(medication))
        .holding(sig(dosage))
        .holding(supply(&medication["dispenseRequest"]))
        .holding(instruction(dosage))
        .holding(notes(medication))
        .holding(precondition(dosage))
}

fn bounds(dosage: &Value) -> Tag {
    let timing = &dosage["timing"];
    let period = &timing["repeat"]["boundsPeriod"];
    let event = time("effectiveTime", &timing["event"][0]);
    event.unwrap_or_else(|| interval(&period["start"], &period["end"]))
}

/// How often: as a period, or at an event of the day.
fn frequency(repeat: &Value) -> Option<Tag> {
    if let Some(event) = repeat["when"][0].as_str() {
        let offset = number(&repeat["offset"]);
        let offset = offset.map(|minutes| {
            let low = tag("low").with("value", minutes).with("unit", "min");
            tag("offset").holding([low])
        });
        let whole = tag("effectiveTime")
            .with("xsi:type", "EIVL_TS")
            .with("operator", "A");
        return Some(
            whole
                .holding([tag("event").with("code", event)])
                .holding(offset),
        );
    }
    let unit = repeat["periodUnit"].as_str()?;
    let whole = tag("effectiveTime")
        .with("xsi:type", "PIVL_TS")
        .with("operator", "A");
    let times = repeat["frequency"].as_u64().unwrap_or(1);
    if times > 1 {
        let is_daily = unit == "d" && repeat["period"].as_u64() == Some(1);
        let is_even = 24_u64.checked_rem(times) == Some(0);
        let hours = 24_u64.checked_div(times).filter(|_| is_daily && is_even)?;
        let period = tag("period")
            .with("value", hours.to_string())
            .with("unit", "h");
        return Some(whole.with("institutionSpecified", "true").holding([period]));
    }
    let length = |name: &'static str, value: &Value| {
        Some(tag(name).with("value", number(value)?).with("unit", unit))
    };
    let least = &repeat["period"];
    let period = match length("high", &repeat["periodMax"]) {
        Some(high) => tag("period").holding(length("low", least)).holding([high]),
        None => length("period", least)?,
    };
    Some(whole.holding([period]))
}

fn doses(dose: &Value) -> Vec<Tag> {
    [("dose", "doseQuantity"), ("rate", "rateQuantity")]
        .into_iter()
        .filter_map(|(own, name)| {
            let range = &dose[format!("{own}Range")];
            if range.is_object() {
                let ends = [
                    quantity("low", &range["low"]),
                    quantity("high", &range["high"]),
                ];
                return Some(tag(name).holding(ends.into_iter().flatten()));
            }
            quantity(name, &dose[format!("{own}Quantity")])
        })
        .collect()
}

fn most(ratio: &Value) -> Option<Tag> {
    let parts = [
        quantity("numerator", &ratio["numerator"])?,
        quantity("denominator", &ratio["denominator"])?,
    ];
    Some(tag("maxDoseQuantity").holding(parts))
}

fn product(material: &Value, own: (&str, &str), lot: Option<&str>, maker: Option<&str>) -> Tag {
    let inner = tag("manufacturedMaterial")
        .holding([concept("code", material)])
        .holding(lot.map(|lot| text("lotNumberText", lot)));
    let maker = maker.map(|maker| tag("manufacturerOrganization").holding([text("name", maker)]));
    let whole = tag("manufacturedProduct")
        .with("classCode", "MANU")
        .holding([template(own.0, own.1), inner])
        .holding(maker);
    tag("consumable").holding([whole])
}

fn sig(dosage: &Value) -> Option<Tag> {
    let words = dosage["text"].as_str()?;
    let sig = act("substanceAdministration", "SBADM", "EVN").holding([
        template("22.4.147", ""),
        loinc("code", "76662-6"),
        text("text", words),
    ]);
    Some(related("COMP", sig))
}

/// What the patient is told.
pub(super) fn instruction(dosage: &Value) -> Option<Tag> {
    let words = dosage["patientInstruction"].as_str()?;
    let act = act("act", "ACT", "INT").holding([
        template("22.4.20", "2014-06-09"),
        super::datatypes::snomed("code", "311401005"),
        text("text", words),
        status("completed"),
    ]);
    Some(related("SUBJ", act).with("inversionInd", "true"))
}

fn supply(request: &Value) -> Option<Tag> {
    if !request.is_object() {
        return None;
    }
    let period = &request["validityPeriod"];
    let repeats = request["numberOfRepeatsAllowed"].as_u64();
    let repeats =
        repeats.map(|more| tag("repeatNumber").with("value", more.saturating_add(1).to_string()));
    let supply = act("supply", "SPLY", "INT")
        .holding([
            template("22.4.17", "2014-06-09"),
            tag("id").with("nullFlavor", "NI"),
            status("completed"),
            interval(&period["start"], &period["end"]).with("xsi:type", "IVL_TS"),
        ])
        .holding(repeats)
        .holding(quantity("quantity", &request["quantity"]));
    Some(related("REFR", supply))
}

fn precondition(dosage: &Value) -> Option<Tag> {
    let coded = some_concept("value", &dosage["asNeededCodeableConcept"]);
    let value = match coded {
        Some(value) => value.with("xsi:type", "CD"),
        None if dosage["asNeededBoolean"] == true => {
            tag("value").with("nullFlavor", "NI").with("xsi:type", "CD")
        }
        None => return None,
    };
    let criterion = tag("criterion").holding([template("22.4.25", "2014-06-09"), value]);
    Some(
        tag("precondition")
            .with("typeCode", "PRCN")
            .holding([criterion]),
    )
}

pub(super) fn immunization(immunization: &Value, record: &Record<'_>) -> Tag {
    let own = immunization["status"].as_str().unwrap_or_default();
    let is_done = own != "not-done";
    let said = back(codes::IMMUNIZATION_STATUS, own).unwrap_or("completed");
    let dose = &immunization["protocolApplied"][0]["doseNumberPositiveInt"];
    let dose = number(dose).map(|dose| tag("repeatNumber").with("value", dose));
    let refusal = some_concept("code", &immunization["statusReason"]).map(|code| {
        let observation = act("observation", "OBS", "EVN").holding([
            template("22.4.53", ""),
            tag("id").with("nullFlavor", "NI"),
            code,
            status("completed"),
        ]);
        related("RSON", observation)
    });
    let names = each(&immunization["manufacturer"]).first();
    let maker = names.and_then(|maker| maker["display"].as_str());
    act("substanceAdministration", "SBADM", "EVN")
        .with("negationInd", (!is_done).to_string())
        .holding([template("22.4.52", "2015-08-01")])
        .holding(ids(immunization))
        .holding([status(said), effective(immunization, "occurrence")])
        .holding(dose)
        .holding(some_concept("routeCode", &immunization["route"]))
        .holding(some_concept("approachSiteCode", &immunization["site"]))
        .holding(quantity("doseQuantity", &immunization["doseQuantity"]))
        .holding([product(
            &immunization["vaccineCode"],
            ("22.4.54", "2014-06-09"),
            immunization["lotNumber"].as_str(),
            maker,
        )])
        .holding(performers(
            record,
            each(&immunization["performer"])
                .iter()
                .map(|one| &one["actor"]),
        ))
        .holding(author(record, &Value::Null, &immunization["recorded"]))
        .holding(refusal)
        .holding(reasons(immunization))
        .holding(notes(immunization))
}
