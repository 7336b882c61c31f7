//! A resource against the tree of a profile.

use serde_json::{Map, Value};

use super::{Codes, Discriminator, Node, Profile, Profiles, Rule};
use crate::fhir::fhirpath::{Content, Context, Element, Item, children_named, types};
use crate::fhir::{ElementPath, Issue, IssueType, Resource};

/// More issues than this are not listed.
const ISSUES_MAX: usize = 100;
/// Profiles of elements within profiles of elements.
const DEPTH_MAX: usize = 12;

pub(super) fn issues(profiles: &Profiles, profile: &Profile, resource: &Resource) -> Vec<Issue> {
    let root = Element::object(resource.object(), resource.resource_type().as_str());
    let mut check = Check {
        profiles,
        root,
        path: ElementPath::root(resource.resource_type()),
        issues: Vec::new(),
        depth: 0,
    };
    check.content(&profile.root, root);
    check.issues
}

struct Check<'a> {
    profiles: &'a Profiles,
    root: Element<'a>,
    path: ElementPath,
    issues: Vec<Issue>,
    depth: usize,
}

impl<'a> Check<'a> {
    fn report(&mut self, code: IssueType, text: String) {
        if self.issues.len() < ISSUES_MAX {
            self.issues
                .push(Issue::error(code, text).at(self.path.to_string()));
        }
    }

    /// One element against what is said of it.
    fn content(&mut self, node: &'a Node, element: Element<'a>) {
        if let Some(fixed) = &node.fixed
            && !is_value(element, fixed, false)
        {
            self.report(
                IssueType::Value,
                format!("`{}` is not the fixed value", node.name),
            );
        }
        if let Some(pattern) = &node.pattern
            && !is_value(element, pattern, true)
        {
            self.report(
                IssueType::Value,
                format!("`{}` does not match the pattern", node.name),
            );
        }
        if let Some(codes) = node
            .binding
            .as_ref()
            .and_then(|url| self.profiles.value_sets.get(url))
            && is_of(codes, element) == Some(false)
        {
            self.report(
                IssueType::CodeInvalid,
                format!("`{}` has no code of the required value set", node.name),
            );
        }
        for rule in &node.rules {
            self.rule(rule, element);
        }
        self.extension(node, element);
        for child in node.children.iter().filter(|child| child.slice.is_none()) {
            self.child(node, child, element);
        }
    }

    fn rule(&mut self, rule: &'a Rule, element: Element<'a>) {
        let context = Context {
            focus: element,
            resource: self.root,
            root: self.root,
            now: None,
        };
        if rule.expression.fails(&context) == Ok(true) && self.issues.len() < ISSUES_MAX {
            let text = format!("{}: {}", rule.key, rule.human);
            let issue = Issue::error(IssueType::Invariant, text).with_severity(rule.severity);
            self.issues.push(issue.at(self.path.to_string()));
        }
    }

    /// The profile that a slice names for an element, if it is here.
    fn extension(&mut self, node: &'a Node, element: Element<'a>) {
        let [(kind, profiles)] = node.types.as_slice() else {
            return;
        };
        let [url] = profiles.as_slice() else {
            return;
        };
        let url = url.split('|').next().unwrap_or_default();
        let profile = self.profiles.profiles.get(url);
        if let Some(profile) = profile.filter(|it| it.kind == *kind)
            && self.depth < DEPTH_MAX
        {
            self.depth += 1;
            self.content(&profile.root, element);
            self.depth -= 1;
        }
    }

    fn child(&mut self, holder: &'a Node, node: &'a Node, element: Element<'a>) {
        let items: Vec<Element<'a>> = children_named(element, &node.name)
            .into_iter()
            .filter_map(|item| match item {
                Item::Element(element) => Some(element),
                _ => None,
            })
            .collect();
        self.path.push_name(&name_in_json(node, element));
        self.count(node, items.len(), "");
        let slices: Vec<&'a Node> = holder
            .children
            .iter()
            .filter(|child| child.name == node.name && child.slice.is_some())
            .collect();
        let mut counts = vec![Some(0); slices.len()];
        let is_list = matches!(element.content(), Content::Object(object)
            if object.get(&node.name).is_some_and(Value::is_array));
        for (index, item) in items.iter().enumerate() {
            if is_list {
                self.path.push_index(index);
            }
            self.item(node, &slices, &mut counts, *item);
            if is_list {
                self.path.pop();
            }
        }
        for (slice, count) in slices.iter().zip(counts) {
            if let Some(count) = count {
                let name = slice.slice.as_deref().unwrap_or_default();
                self.count(slice, count, name);
            }
        }
        self.path.pop();
    }

    fn item(
        &mut self,
        node: &'a Node,
        slices: &[&'a Node],
        counts: &mut [Option<usize>],
        item: Element<'a>,
    ) {
        let is_allowed = |(code, _): &(String, Vec<String>)| {
            code == item.kind()
                || code.contains('.')
                || code.contains('/')
                || item.kind().contains('.')
        };
        // A choice has one of its types; the types of other elements are those of R4.
        let is_choice =
            node.types.len() > 1 || node.types.len() == 1 && types::known(item.kind()).is_some();
        let is_generic = node.types.iter().any(|(code, _)| {
            matches!(
                code.as_str(),
                "Resource" | "BackboneElement" | "Element" | "SimpleQuantity"
            )
        });
        if is_choice && !is_generic && !node.types.iter().any(is_allowed) {
            self.report(
                IssueType::Structure,
                format!("`{}` has a type that is not allowed", node.name),
            );
        }
        self.content(node, item);
        let mut is_known = slices.is_empty();
        for (slice, count) in slices.iter().zip(counts) {
            match is_in(node, slice, item) {
                Some(true) => {
                    is_known = true;
                    *count = count.map(|count| count + 1);
                    self.content(slice, item);
                }
                Some(false) => {}
                None => {
                    is_known = true;
                    *count = None;
                }
            }
        }
        if node.is_closed && !is_known {
            self.report(
                IssueType::Structure,
                format!("`{}` is in none of the slices", node.name),
            );
        }
    }

    fn count(&mut self, node: &Node, count: usize, slice: &str) {
        let name = match slice {
            "" => node.name.clone(),
            slice => format!("{}:{slice}", node.name),
        };
        if count < node.min {
            self.report(
                IssueType::Required,
                format!(
                    "`{name}` is there {count} times, at least {} are required",
                    node.min
                ),
            );
        }
        if let Some(max) = node.max.filter(|max| count > *max) {
            self.report(
                IssueType::Structure,
                format!("`{name}` is there {count} times, at most {max} are allowed"),
            );
        }
    }
}

/// The name that the element has in JSON, or would have: a choice has one for each type.
fn name_in_json(node: &Node, holder: Element<'_>) -> String {
    let Content::Object(object) = holder.content() else {
        return node.name.clone();
    };
    if types::child(holder.kind(), &node.name).is_some() {
        return node.name.clone();
    }
    let is_alternative = |key: &&String| {
        let end = key.strip_prefix(node.name.as_str());
        end.and_then(types::choice).is_some()
    };
    match (object.keys().find(is_alternative), node.types.first()) {
        (Some(key), _) => key.clone(),
        (None, Some((kind, _))) => types::choice_name(&node.name, kind),
        (None, None) => node.name.clone(),
    }
}

/// Whether an item is in a slice; none if the discriminators cannot tell.
fn is_in(node: &Node, slice: &Node, item: Element<'_>) -> Option<bool> {
    if node.slicing.is_empty() {
        return None;
    }
    let mut answer = Some(true);
    for discriminator in &node.slicing {
        match discriminated(discriminator, slice, item) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => answer = None,
        }
    }
    answer
}

fn discriminated(by: &Discriminator, slice: &Node, item: Element<'_>) -> Option<bool> {
    let steps: Vec<&str> = match by.path.as_str() {
        "$this" => Vec::new(),
        path => path.split('.').collect(),
    };
    if steps.iter().any(|step| step.contains('(')) {
        return None;
    }
    let mut values = vec![item];
    let mut said = Some(slice);
    for step in &steps {
        let children = values.iter().flat_map(|value| children_named(*value, step));
        values = children
            .filter_map(|item| match item {
                Item::Element(element) => Some(element),
                _ => None,
            })
            .collect();
        said = said.and_then(|node| node.children.iter().find(|child| child.name == *step));
    }
    match by.kind.as_str() {
        "value" | "pattern" => {
            // An extension is named by the profile of its slice.
            if by.path == "url"
                && let [(_, profiles)] = slice.types.as_slice()
                && let [url] = profiles.as_slice()
            {
                let url = Value::from(url.split('|').next().unwrap_or_default());
                return Some(values.iter().any(|value| is_value(*value, &url, false)));
            }
            let node = said?;
            let (wanted, is_pattern) = match (&node.fixed, &node.pattern) {
                (Some(fixed), _) => (fixed, false),
                (None, Some(pattern)) => (pattern, true),
                (None, None) => return below(node, &values),
            };
            Some(
                values
                    .iter()
                    .any(|value| is_value(*value, wanted, is_pattern)),
            )
        }
        "exists" => {
            let node = said?;
            Some(if node.max == Some(0) {
                values.is_empty()
            } else {
                !values.is_empty()
            })
        }
        "type" => {
            let node = said?;
            let is_type =
                |value: &Element<'_>| node.types.iter().any(|(code, _)| code == value.kind());
            Some(values.iter().any(is_type))
        }
        _ => None,
    }
}

/// A discriminator on an element of which the children have the values.
fn below(node: &Node, values: &[Element<'_>]) -> Option<bool> {
    let fixed: Vec<&Node> = node
        .children
        .iter()
        .filter(|child| child.fixed.is_some() || child.pattern.is_some())
        .collect();
    if fixed.is_empty() {
        return None;
    }
    let matches = |value: &Element<'_>| {
        fixed.iter().all(|child| {
            let wanted = child.fixed.as_ref().or(child.pattern.as_ref());
            children_named(*value, &child.name)
                .iter()
                .any(|item| match (item, wanted) {
                    (Item::Element(element), Some(wanted)) => {
                        is_value(*element, wanted, child.fixed.is_none())
                    }
                    _ => false,
                })
        })
    };
    Some(values.iter().any(matches))
}

fn is_value(element: Element<'_>, wanted: &Value, is_pattern: bool) -> bool {
    match (element.content(), wanted) {
        (Content::Object(object), Value::Object(wanted)) => {
            (is_pattern || object.len() == wanted.len()) && covers(object, wanted)
        }
        (Content::Primitive(value), wanted) => value == wanted,
        _ => false,
    }
}

/// Whether an object has all that a pattern has.
fn covers(object: &Map<String, Value>, pattern: &Map<String, Value>) -> bool {
    pattern.iter().all(|(name, wanted)| {
        object
            .get(name)
            .is_some_and(|value| matches_pattern(value, wanted))
    })
}

fn matches_pattern(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(object), Value::Object(wanted)) => covers(object, wanted),
        (Value::Array(values), Value::Array(wanted)) => wanted
            .iter()
            .all(|wanted| values.iter().any(|value| matches_pattern(value, wanted))),
        (value, wanted) => value == wanted,
    }
}

/// Whether a coded element has a code of the set; none if it has no code at all.
fn is_of(codes: &Codes, element: Element<'_>) -> Option<bool> {
    let has = |system: &str, code: &str| codes.get(system).is_some_and(|all| all.contains(code));
    let coding = |coding: &Value| {
        let text = |name| coding.get(name).and_then(Value::as_str).unwrap_or_default();
        has(text("system"), text("code"))
    };
    match element.content() {
        Content::Primitive(Value::String(code)) => {
            Some(codes.values().any(|all| all.contains(code)))
        }
        Content::Object(object) => match object.get("coding").and_then(Value::as_array) {
            Some(all) => Some(all.iter().any(coding)),
            None if object.contains_key("code") => Some(coding(&Value::Object(object.clone()))),
            None => None,
        },
        _ => None,
    }
}
