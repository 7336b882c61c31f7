//! The value of an observation, by its type.

use serde_json::{Value, json};

use super::datatypes::{ABSENT_CODES, absent_concept, coded, some_text};
use super::draft::Draft;
use crate::ccda::document::At;
use crate::ccda::fault::Rule;
use crate::compose::{filled, put};

impl<'a> Draft<'a> {
    /// Puts `value[x]` or `dataAbsentReason`.
    pub(super) fn value(&mut self, at: At<'a>, target: &mut Value) {
        let value = at.child("value");
        let before = self.mistakes;
        let is_empty = value.is_none_or(|value| !self.put_value(value, target));
        if !is_empty {
            return;
        }
        let flavor = value.and_then(|value| value.attribute("nullFlavor"));
        let reason = if self.mistakes > before {
            coded(ABSENT_CODES, "error")
        } else {
            absent_concept(flavor)
        };
        put(target, "dataAbsentReason", reason);
    }

    fn put_value(&mut self, value: At<'a>, target: &mut Value) -> bool {
        let (name, read) = match value.attribute("xsi:type").unwrap_or_default() {
            "PQ" | "REAL" => ("valueQuantity", self.quantity(value)),
            "IVL_PQ" => self.interval(value),
            "INT" => ("valueInteger", self.integer(value, 0).map(Value::from)),
            "CD" | "CE" | "CV" | "CO" | "CS" => ("valueCodeableConcept", self.concept(value)),
            "BL" => (
                "valueBoolean",
                value.attribute("value").map(|flag| (flag == "true").into()),
            ),
            "TS" => ("valueDateTime", self.time(value).map(Value::from)),
            "IVL_TS" => ("valuePeriod", self.times(value).period()),
            "ST" | "ED" if !value.is("representation", "B64") => {
                let text = value.said().map_or(Value::Null, some_text);
                ("valueString", Some(text).filter(|text| !text.is_null()))
            }
            _ => {
                if value.attribute("nullFlavor").is_none() {
                    self.leave_unread(value);
                }
                return false;
            }
        };
        let is_there = read.is_some();
        put(target, name, read.into());
        is_there
    }

    /// IVL_PQ: a range, or a bound with its comparator.
    fn interval(&mut self, value: At<'a>) -> (&'static str, Option<Value>) {
        let [low, high] = ["low", "high"].map(|end| value.child(end));
        let [least, most] = [low, high].map(|end| end.and_then(|end| self.quantity(end)));
        let is_open = |end: Option<At<'_>>| end.is_some_and(|end| end.is("inclusive", "false"));
        match (least, most) {
            (Some(low), Some(high)) => ("valueRange", Some(json!({"low": low, "high": high}))),
            (Some(mut bound), None) => {
                bound["comparator"] = if is_open(low) { ">" } else { ">=" }.into();
                ("valueQuantity", Some(bound))
            }
            (None, Some(mut bound)) => {
                bound["comparator"] = if is_open(high) { "<" } else { "<=" }.into();
                ("valueQuantity", Some(bound))
            }
            (None, None) => ("valueQuantity", self.quantity(value)),
        }
    }

    /// Reference ranges; of those that are named by an interpretation only the normal one.
    pub(super) fn ranges(&mut self, at: At<'a>, target: &mut Value) {
        for range in at
            .all("referenceRange")
            .filter_map(|range| range.child("observationRange"))
        {
            let of = range.child("interpretationCode");
            let of = of.and_then(|of| of.attribute("code"));
            if of.is_some_and(|of| of != "N") {
                continue;
            }
            let mut found = json!({});
            if let Some(value) = range.child("value") {
                match value.attribute("xsi:type") {
                    Some("IVL_PQ") => {
                        for end in ["low", "high"] {
                            put(&mut found, end, self.quantity_in(value, end).into());
                        }
                    }
                    Some("ST" | "ED") => put(&mut found, "text", value.said().into()),
                    _ if value.attribute("nullFlavor").is_some() => {}
                    _ => match self.concept(value) {
                        Some(concept) => put(&mut found, "text", concept["text"].clone()),
                        None => self.leave_unread(value),
                    },
                }
            }
            let text = range.child("text").and_then(At::said);
            put(&mut found, "text", text.into());
            put(target, "referenceRange[]", filled(found).into());
        }
    }

    /// What CDA requires of each statement that is an Observation.
    pub(super) fn require_code(&mut self, at: At<'a>) -> Value {
        if at.child("code").is_none() {
            self.misread(at, Rule::Missing("code"));
        }
        self.concept_or_reason(at.child("code"))
    }
}
