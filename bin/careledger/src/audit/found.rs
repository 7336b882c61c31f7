//! What an audit found, for people and for programs.

use std::io::Write as _;

use serde_json::{Map, Value, json};

/// Counts, and what is wrong.
pub(super) struct Found {
    pub(super) counts: Vec<(String, u64)>,
    /// Lists by their names; what is wrong, each with its particulars.
    pub(super) lists: Vec<(String, Vec<(String, String)>)>,
}

impl Found {
    /// From the `Parameters` of a running node.
    pub(super) fn of(parameters: &Value) -> Self {
        let all = parameters.get("parameter").and_then(Value::as_array);
        let mut found = Self {
            counts: Vec::new(),
            lists: Vec::new(),
        };
        for one in all.into_iter().flatten() {
            let name = text(one.get("name"));
            if let Some(parts) = one.get("part").and_then(Value::as_array) {
                let particulars = parts.iter().map(|part| {
                    let kinds = ["valueString", "valueInstant", "valueDecimal"];
                    let value = kinds.iter().find_map(|kind| part.get(kind));
                    (text(part.get("name")), text(value))
                });
                found.lists.push((name, particulars.collect()));
            } else if let Some(count) = one.get("valueDecimal") {
                found
                    .counts
                    .push((name, text(Some(count)).parse().unwrap_or(0)));
            }
        }
        found
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{}", self.json())?;
            return Ok(());
        }
        let counts = self
            .counts
            .iter()
            .map(|(name, count)| format!("{name} {count}"));
        writeln!(out, "{}", counts.collect::<Vec<String>>().join(", "))?;
        for (name, particulars) in &self.lists {
            let told = particulars
                .iter()
                .map(|(name, value)| format!("{name} {value}"));
            writeln!(out, "{name}: {}", told.collect::<Vec<String>>().join(", "))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let mut all = Map::new();
        for (name, count) in &self.counts {
            all.insert(name.clone(), json!(count));
        }
        for (name, particulars) in &self.lists {
            let named = particulars.iter();
            let one: Map<String, Value> = named
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            let list = all.entry(name.clone()).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(one.into());
            }
        }
        all.into()
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}
