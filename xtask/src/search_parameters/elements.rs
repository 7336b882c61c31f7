//! The elements of resources and data types, as far as expressions of search walk over them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bundled;

/// Elements by path; a choice stands under its name with `[x]`.
pub(super) struct Elements {
    by_path: BTreeMap<String, Element>,
    kinds: BTreeMap<String, String>,
}

struct Element {
    types: Vec<String>,
    /// The path whose content this element has.
    same_as: Option<String>,
}

/// One way on from a place: the name in JSON, the type there, and the place.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) leaf: String,
    pub(super) place: String,
}

impl Elements {
    pub(super) fn of(bundles: &[&Value]) -> Self {
        let mut by_path = BTreeMap::new();
        let definitions = bundles.iter().flat_map(|bundle| bundled(bundle));
        for definition in definitions.filter(|it| it["resourceType"] == "StructureDefinition") {
            let elements = definition["snapshot"]["element"].as_array();
            for element in elements.into_iter().flatten() {
                let path = element["path"].as_str().unwrap_or_default().to_owned();
                let same_as = element["contentReference"].as_str();
                let types = element["type"].as_array().into_iter().flatten();
                let types = types.filter_map(|it| it["code"].as_str());
                by_path.insert(
                    path,
                    Element {
                        types: types.map(plain_type).collect(),
                        same_as: same_as.map(|it| it.trim_start_matches('#').to_owned()),
                    },
                );
            }
        }
        Self {
            by_path,
            kinds: BTreeMap::new(),
        }
    }

    /// Learns the kinds of parameters by id, for components of composites.
    pub(super) fn learn_kinds(&mut self, parameters: &Value) {
        for parameter in bundled(parameters) {
            let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
            self.kinds.insert(text("id"), text("type"));
        }
    }

    pub(super) fn kind_of(&self, id: &str) -> Option<&str> {
        self.kinds.get(id).map(String::as_str)
    }

    /// The ways on from `place` by the FHIRPath name: several for a choice.
    pub(super) fn step(&self, place: &str, name: &str) -> Vec<Step> {
        let plain = format!("{place}.{name}");
        if let Some(element) = self.by_path.get(&plain) {
            let leaf = element.types.first().map_or("", String::as_str);
            return vec![self.arrive(&plain, element, name.to_owned(), leaf)];
        }
        let choice = format!("{plain}[x]");
        let Some(element) = self.by_path.get(&choice) else {
            return Vec::new();
        };
        let steps = element.types.iter().map(|leaf| {
            let name = format!("{name}{}", capitalised(leaf));
            self.arrive(&choice, element, name, leaf)
        });
        steps.collect()
    }

    fn arrive(&self, path: &str, element: &Element, name: String, leaf: &str) -> Step {
        let is_inline = ["BackboneElement", "Element", ""].contains(&leaf);
        let place = match &element.same_as {
            Some(same) => same.clone(),
            None if is_inline => path.to_owned(),
            None => leaf.to_owned(),
        };
        Step {
            name,
            leaf: leaf.to_owned(),
            place,
        }
    }
}

fn plain_type(code: &str) -> String {
    // Ids are strings of the FHIRPath system in R4.
    code.strip_prefix("http://hl7.org/fhirpath/System.")
        .map_or_else(|| code.to_owned(), str::to_lowercase)
}

pub(super) fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
