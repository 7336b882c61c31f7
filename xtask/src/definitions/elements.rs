//! Elements of all types, with what they inherit left to the base.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::bundle::{Definitions, items, snapshot, text};

const TYPE_URL: &str = "http://hl7.org/fhir/StructureDefinition/";
const TYPE_OF_VALUE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
const REGEX: &str = "http://hl7.org/fhir/StructureDefinition/regex";
const SET_URL: &str = "http://hl7.org/fhir/ValueSet/";

/// The types with their elements.
pub(super) struct Elements {
    /// Name and base of a type, with its own elements.
    types: Vec<(String, Vec<Element>)>,
}

struct Element {
    name: String,
    is_choice: bool,
    /// As it stands in the table.
    word: String,
    kinds: Vec<String>,
    required_set: Option<String>,
}

impl Elements {
    pub(super) fn of(definitions: &Definitions) -> anyhow::Result<Self> {
        let mut types = Vec::new();
        let complex = |it: &&Value| it["kind"] != "primitive-type";
        for structure in definitions.structures.iter().filter(complex) {
            let name = text(structure, "name")?;
            add_types(name, structure, &mut types)
                .with_context(|| format!("{name} is not understood"))?;
        }
        types.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Self { types })
    }

    /// The sets that an element requires, as they are named in the table.
    pub(super) fn required_sets(&self) -> BTreeSet<String> {
        let elements = self.types.iter().flat_map(|(_, elements)| elements);
        elements.filter_map(|it| it.required_set.clone()).collect()
    }

    pub(super) fn table(&self) -> String {
        let mut table = String::from(
            "# Elements of R4: TYPE[<BASE], then [@]name[[x]][!][*]:kind[,kind][binding], in their order\n\
             # `@` = an attribute in XML, `[x]` = choice of the kinds, `!` = required, `*` = repeats\n\
             # kind = a type, a path whose elements it has, or Reference(allowed|types)\n\
             # binding = `=` required, `+` extensible or `?` preferred, and the value set\n",
        );
        for (head, elements) in &self.types {
            table.push_str(head);
            for element in elements {
                table.push(' ');
                table.push_str(&element.word);
            }
            table.push('\n');
        }
        table
    }

    /// Every name that an element has in JSON, sorted.
    pub(super) fn names(&self) -> String {
        let mut names = BTreeSet::from(["resourceType".to_owned()]);
        for element in self.types.iter().flat_map(|(_, elements)| elements) {
            if !element.is_choice {
                names.insert(element.name.clone());
                continue;
            }
            let kinds = element.kinds.iter();
            names.extend(kinds.map(|kind| choice_name(&element.name, kind)));
        }
        names
            .into_iter()
            .fold(String::new(), |text, name| text + &name + "\n")
    }
}

/// The regular expressions of the primitive types.
pub(super) fn primitives(definitions: &Definitions) -> anyhow::Result<String> {
    let mut table =
        String::from("# Primitive types of R4: name, regular expression; a tab between\n");
    for structure in &definitions.structures {
        if structure["kind"] != "primitive-type" {
            continue;
        }
        let name = text(structure, "name")?;
        let value = format!("{name}.value");
        let element = snapshot(structure)?
            .iter()
            .find(|it| it["path"] == value.as_str());
        let kind = element
            .and_then(|it| items(it, "type").next())
            .context("no value")?;
        if let Some(regex) = items(kind, "extension").find(|it| it["url"] == REGEX) {
            writeln!(table, "{name}\t{}", text(regex, "valueString")?)?;
        }
    }
    Ok(table)
}

fn add_types(
    name: &str,
    structure: &Value,
    types: &mut Vec<(String, Vec<Element>)>,
) -> anyhow::Result<()> {
    let is_constraint = structure["derivation"] == "constraint";
    // A profile of a datatype leaves elements out: it is written down whole.
    let base = match structure["baseDefinition"].as_str() {
        Some(_) if is_constraint => Some("Element"),
        Some(url) => Some(url.strip_prefix(TYPE_URL).context("an unknown base")?),
        None => None,
    };
    let root = text(structure, "type")?;
    let mut nested: BTreeMap<&str, Vec<Element>> = BTreeMap::new();
    let mut heads: Vec<(&str, String)> = Vec::new();
    let head = |name: &str, base: Option<&str>| match base {
        Some(base) => format!("{name}<{base}"),
        None => name.to_owned(),
    };
    heads.push((root, head(name, base)));
    for element in snapshot(structure)?.iter().skip(1) {
        let path = text(element, "path")?;
        let (parent, _) = path.rsplit_once('.').context("a path without parent")?;
        let origin = element["base"]["path"].as_str().unwrap_or(path);
        let from_quantity = is_constraint && origin.starts_with("Quantity.");
        if (origin != path && !from_quantity) || element["max"] == "0" {
            continue;
        }
        let read = read_element(element, path)?;
        if let [kind] = read.kinds.as_slice()
            && kind == path
        {
            let base = items(element, "type").next().context("no type")?;
            heads.push((path, head(path, Some(text(base, "code")?))));
        }
        nested.entry(parent).or_default().push(read);
    }
    for (path, head) in heads {
        types.push((head, nested.remove(path).unwrap_or_default()));
    }
    ensure!(nested.is_empty(), "elements below what is no backbone");
    Ok(())
}

fn read_element(element: &Value, path: &str) -> anyhow::Result<Element> {
    let (_, last) = path.rsplit_once('.').context("a path without parent")?;
    let name = last.trim_end_matches("[x]").to_owned();
    let is_choice = name.len() < last.len();
    let kinds = kinds_of(element, path)?;
    let names: Vec<String> = kinds.iter().map(|(name, _)| name.clone()).collect();
    let mut word = String::new();
    if items(element, "representation").any(|it| it == "xmlAttr") {
        word.push('@');
    }
    word.push_str(last);
    match element["min"].as_u64() {
        Some(0) => {}
        Some(1) => word.push('!'),
        _ => bail!("{path}: another minimum than 0 and 1"),
    }
    match element["max"].as_str() {
        Some("1") => {}
        Some("*") => word.push('*'),
        _ => bail!("{path}: another maximum than 1 and *"),
    }
    word.push(':');
    let listed: Vec<String> = kinds
        .into_iter()
        .map(|(name, targets)| name + &targets)
        .collect();
    word.push_str(&listed.join(","));
    let mut required_set = None;
    let binding = &element["binding"];
    let mark = match binding["strength"].as_str() {
        Some("required") => "=",
        Some("extensible") => "+",
        Some("preferred") => "?",
        _ => "",
    };
    if let (false, Some(set)) = (mark.is_empty(), binding["valueSet"].as_str()) {
        let (set, _) = set.split_once('|').unwrap_or((set, ""));
        let set = set.strip_prefix(SET_URL).unwrap_or(set);
        required_set = (mark == "=").then(|| set.to_owned());
        word.push_str(mark);
        word.push_str(set);
    }
    Ok(Element {
        name,
        is_choice,
        word,
        kinds: names,
        required_set,
    })
}

/// The kinds of an element, each with the allowed targets of a reference.
fn kinds_of(element: &Value, path: &str) -> anyhow::Result<Vec<(String, String)>> {
    if let Some(other) = element["contentReference"].as_str() {
        let (_, other) = other
            .split_once('#')
            .context("a content reference of another form")?;
        return Ok(vec![(other.to_owned(), String::new())]);
    }
    let mut kinds = Vec::new();
    for kind in items(element, "type") {
        let code = text(kind, "code")?;
        let of_value = items(kind, "extension").find(|it| it["url"] == TYPE_OF_VALUE);
        let profile = items(kind, "profile").next().and_then(Value::as_str);
        let name = match (code, of_value) {
            // The definition says `string`; the text of the standard says `id`.
            _ if path == "Resource.id" => "id",
            (_, Some(extension)) => text(extension, "valueUrl")?,
            ("BackboneElement" | "Element", None) => path,
            ("Quantity", None) => profile
                .and_then(|profile| profile.strip_prefix(TYPE_URL))
                .unwrap_or("Quantity"),
            (code, None) => code,
        };
        kinds.push((name.to_owned(), targets(kind, code)));
    }
    ensure!(!kinds.is_empty(), "{path} has no type");
    Ok(kinds)
}

fn targets(kind: &Value, code: &str) -> String {
    let names: Vec<&str> = items(kind, "targetProfile")
        .filter_map(Value::as_str)
        .filter_map(|profile| profile.strip_prefix(TYPE_URL))
        .collect();
    if code != "Reference" || names.is_empty() || names.contains(&"Resource") {
        return String::new();
    }
    format!("({})", names.join("|"))
}

fn choice_name(base: &str, kind: &str) -> String {
    let kind = if kind == "SimpleQuantity" {
        "Quantity"
    } else {
        kind
    };
    let mut letters = kind.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    base.chars().chain(first).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definitions(elements: &Value) -> Definitions {
        let structure = json!({"name": "Thing", "type": "Thing", "kind": "resource", "derivation": "specialization",
            "baseDefinition": "http://hl7.org/fhir/StructureDefinition/DomainResource",
            "snapshot": {"element": elements}});
        Definitions {
            structures: vec![structure],
            value_sets: BTreeMap::new(),
            code_systems: BTreeMap::new(),
            expansions: BTreeMap::new(),
        }
    }

    #[test]
    fn an_element_is_one_word_and_what_is_inherited_is_left_out() {
        let bound = json!({"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/things|4.0.1"});
        let target = ["http://hl7.org/fhir/StructureDefinition/Patient"];
        let elements = Elements::of(&definitions(&json!([
            {"path": "Thing"},
            {"path": "Thing.id", "min": 0, "max": "1", "base": {"path": "Resource.id"}, "type": [{"code": "id"}]},
            {"path": "Thing.code", "min": 1, "max": "1", "type": [{"code": "code"}], "binding": bound},
            {"path": "Thing.part", "min": 0, "max": "*", "type": [{"code": "BackboneElement"}]},
            {"path": "Thing.part.who", "min": 1, "max": "*", "type": [{"code": "Reference", "targetProfile": target}]},
            {"path": "Thing.part.value[x]", "min": 0, "max": "1", "type": [{"code": "string"}, {"code": "Period"}]},
            {"path": "Thing.part.part", "min": 0, "max": "*", "contentReference": "#Thing.part"},
        ])));
        let elements = elements.unwrap();
        let table = elements.table();
        let lines: Vec<&str> = table
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert_eq!(
            lines,
            [
                "Thing.part<BackboneElement who!*:Reference(Patient) value[x]:string,Period part*:Thing.part",
                "Thing<DomainResource code!:code=things part*:Thing.part",
            ]
        );
        assert_eq!(
            elements.required_sets(),
            BTreeSet::from(["things".to_owned()])
        );
        assert!(elements.names().contains("\nvaluePeriod\nvalueString\n"));
    }

    #[test]
    fn what_the_table_cannot_say_stops_the_generator() {
        for element in [
            json!({"path": "Thing.code", "min": 2, "max": "*", "type": [{"code": "code"}]}),
            json!({"path": "Thing.code", "min": 0, "max": "3", "type": [{"code": "code"}]}),
            json!({"path": "Thing.code", "min": 0, "max": "1"}),
        ] {
            assert!(Elements::of(&definitions(&json!([{"path": "Thing"}, element]))).is_err());
        }
    }
}
