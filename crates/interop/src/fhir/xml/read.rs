//! XML to JSON.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use serde_json::{Map, Number, Value};

use super::{FHIR, XmlError};
use crate::fhir::definitions::{Definition, DefinitionId, Element, Kind, Primitive, Shape};
use crate::fhir::{ElementPath, ParseLimits, ResourceType};

/// More attributes than this on an element are refused; R4 knows two.
const ATTRIBUTES_MAX: usize = 16;

/// The JSON form of an XML resource, for [`Resource::from_value`](crate::fhir::Resource::from_value), which
/// checks it. Refused here is what JSON has no form for: elements that R4 does not define, in a lenient
/// reading too, since nothing says what they are.
pub fn from_xml(bytes: &[u8], limits: &ParseLimits) -> Result<Value, XmlError> {
    if bytes.len() > limits.bytes_max {
        return Err(XmlError::TooLarge {
            bytes: bytes.len(),
            limit: limits.bytes_max,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = text.find(is_no_character) {
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        return Err(XmlError::Malformed { at });
    }
    let mut reader = Reader::from_str(text);
    let (tag, is_empty) = prolog(&mut reader)?;
    let resource_type = resource_type(&tag).ok_or(XmlError::TypeUnknown)?;
    let mut read = Read {
        text,
        prefix: prefix(&tag)?,
        path: ElementPath::root(resource_type),
        depth: 0,
        depth_max: limits.depth_max,
        tag_start: 0,
        reader,
    };
    let resource = read.resource(resource_type, is_empty)?;
    read.epilog()?;
    Ok(resource)
}

/// Whether XML 1.0 has no such character, be it written as a reference.
fn is_no_character(letter: char) -> bool {
    matches!(letter, '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') && !"\t\n\r".contains(letter)
}

/// Everything before the root, and the root's tag.
fn prolog<'a>(reader: &mut Reader<&'a [u8]>) -> Result<(BytesStart<'a>, bool), XmlError> {
    loop {
        match next(reader)? {
            Event::Decl(declaration) => {
                let encoding = declaration.encoding();
                let is_utf8 = encoding.is_none_or(|encoding| {
                    encoding.is_ok_and(|name| name.eq_ignore_ascii_case(b"utf-8"))
                });
                if !is_utf8 {
                    return Err(XmlError::NotText);
                }
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
            Event::Start(tag) => return Ok((tag, false)),
            Event::Empty(tag) => return Ok((tag, true)),
            Event::DocType(_) => return Err(XmlError::Entity),
            _ => return Err(malformed(reader)),
        }
    }
}

fn next<'a>(reader: &mut Reader<&'a [u8]>) -> Result<Event<'a>, XmlError> {
    let event = reader.read_event();
    event.map_err(|_| malformed(reader))
}

fn malformed(reader: &Reader<&[u8]>) -> XmlError {
    XmlError::Malformed {
        at: reader.buffer_position(),
    }
}

fn resource_type(tag: &BytesStart<'_>) -> Option<ResourceType> {
    let name = tag.local_name();
    ResourceType::parse(std::str::from_utf8(name.as_ref()).ok()?)
}

/// The prefix of the root, which every element outside a Narrative must have.
fn prefix(tag: &BytesStart<'_>) -> Result<Option<Vec<u8>>, XmlError> {
    let prefix = tag.name().prefix().map(|prefix| prefix.as_ref().to_vec());
    let mut key = b"xmlns".to_vec();
    if let Some(prefix) = &prefix {
        key.push(b':');
        key.extend(prefix);
    }
    for attribute in tag.attributes().take(ATTRIBUTES_MAX) {
        let attribute = attribute.map_err(|_| XmlError::Namespace)?;
        if attribute.key.as_ref() == key && *attribute.value == *FHIR.as_bytes() {
            return Ok(prefix);
        }
    }
    Err(XmlError::Namespace)
}

struct Read<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    prefix: Option<Vec<u8>>,
    path: ElementPath,
    depth: usize,
    depth_max: usize,
    /// Where the tag that was read last begins.
    tag_start: usize,
}

/// A primitive: its value, and what stands beside it.
type Pair = (Option<Value>, Option<Value>);

impl<'a> Read<'a> {
    fn epilog(&mut self) -> Result<(), XmlError> {
        loop {
            match next(&mut self.reader)? {
                Event::Eof => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                _ => return Err(malformed(&self.reader)),
            }
        }
    }

    /// The next child element; `None` at the end of the parent.
    fn child(&mut self) -> Result<Option<(BytesStart<'a>, bool)>, XmlError> {
        loop {
            self.tag_start = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
            match next(&mut self.reader)? {
                Event::Start(tag) => return Ok(Some((tag, false))),
                Event::Empty(tag) => return Ok(Some((tag, true))),
                Event::End(_) => return Ok(None),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                Event::Text(_) | Event::CData(_) => return Err(XmlError::Text(self.path.clone())),
                Event::DocType(_) | Event::GeneralRef(_) => return Err(XmlError::Entity),
                Event::Decl(_) | Event::Eof => return Err(malformed(&self.reader)),
            }
        }
    }

    fn resource(&mut self, resource_type: ResourceType, is_empty: bool) -> Result<Value, XmlError> {
        let mut object = Map::new();
        object.insert("resourceType".to_owned(), resource_type.as_str().into());
        if !is_empty {
            self.members(Definition::of_resource(resource_type), &mut object)?;
        }
        Ok(object.into())
    }

    fn members(
        &mut self,
        definition: &'static Definition,
        object: &mut Map<String, Value>,
    ) -> Result<(), XmlError> {
        if self.depth >= self.depth_max {
            let limit = self.depth_max;
            return Err(XmlError::TooDeep { limit });
        }
        self.depth += 1;
        while let Some((tag, is_empty)) = self.child()? {
            let name = tag.local_name();
            let name = std::str::from_utf8(name.as_ref()).unwrap_or_default();
            let found = definition.find(name).and_then(|place| definition.at(place));
            let Some((element, kind)) = found.filter(|(element, _)| !element.is_attribute) else {
                self.path.push_name(name);
                return Err(XmlError::Unknown(self.path.clone()));
            };
            self.path.push_defined(kind.name);
            self.element((element, kind), (&tag, is_empty), object)?;
            self.path.pop();
        }
        self.depth -= 1;
        settle(object);
        Ok(())
    }

    fn element(
        &mut self,
        (element, kind): (&Element, &Kind),
        (tag, is_empty): (&BytesStart<'a>, bool),
        object: &mut Map<String, Value>,
    ) -> Result<(), XmlError> {
        let beside = format!("_{}", kind.name);
        if !element.is_repeating && (object.contains_key(kind.name) || object.contains_key(&beside))
        {
            return Err(XmlError::Repeated(self.path.clone()));
        }
        if kind.shape == Shape::Primitive(Primitive::Xhtml) {
            let div = self.division(tag, is_empty)?;
            object.insert(kind.name.to_owned(), div.into());
            return Ok(());
        }
        if tag.name().prefix().map(|it| it.into_inner()) != self.prefix.as_deref() {
            return Err(XmlError::Unknown(self.path.clone()));
        }
        match kind.shape {
            Shape::Primitive(primitive) => {
                let pair = self.primitive(primitive, tag, is_empty)?;
                add_primitive(element, kind.name, &beside, pair, object);
            }
            Shape::Complex(id) => {
                let value = self.complex(id, tag, is_empty)?;
                add(element, kind.name, value, object);
            }
            Shape::Resource => {
                let value = self.nested(is_empty)?;
                add(element, kind.name, value, object);
            }
        }
        Ok(())
    }

    fn primitive(
        &mut self,
        primitive: Primitive,
        tag: &BytesStart<'_>,
        is_empty: bool,
    ) -> Result<Pair, XmlError> {
        let mut object = Map::new();
        let value = self.attributes(DefinitionId::element(), tag, true, &mut object)?;
        if !is_empty {
            self.members(DefinitionId::element().get(), &mut object)?;
        }
        let beside = (!object.is_empty()).then(|| object.into());
        Ok((value.map(|text| to_json(primitive, text)), beside))
    }

    fn complex(
        &mut self,
        id: DefinitionId,
        tag: &BytesStart<'_>,
        is_empty: bool,
    ) -> Result<Value, XmlError> {
        let mut object = Map::new();
        self.attributes(id, tag, false, &mut object)?;
        if !is_empty {
            self.members(id.get(), &mut object)?;
        }
        Ok(object.into())
    }

    fn nested(&mut self, is_empty: bool) -> Result<Value, XmlError> {
        let wrong = XmlError::NotAResource(self.path.clone());
        if is_empty {
            return Err(wrong);
        }
        let Some((tag, is_empty)) = self.child()? else {
            return Err(wrong);
        };
        let is_prefixed = tag.name().prefix().map(|it| it.into_inner()) == self.prefix.as_deref();
        let Some(resource_type) = resource_type(&tag).filter(|_| is_prefixed) else {
            return Err(wrong);
        };
        let resource = self.resource(resource_type, is_empty)?;
        match self.child()? {
            None => Ok(resource),
            Some(_) => Err(wrong),
        }
    }

    /// Puts the attributes into the object, and returns that of a primitive's value.
    fn attributes(
        &mut self,
        id: DefinitionId,
        tag: &BytesStart<'_>,
        has_value: bool,
        object: &mut Map<String, Value>,
    ) -> Result<Option<String>, XmlError> {
        let mut found = None;
        for (index, attribute) in tag.attributes().enumerate() {
            let attribute = attribute.map_err(|_| malformed(&self.reader))?;
            let text = attribute.normalized_value(XmlVersion::Implicit1_0);
            let text = text.map_err(|_| XmlError::Entity)?;
            if text.contains(is_no_character) {
                return Err(malformed(&self.reader));
            }
            let key = std::str::from_utf8(attribute.key.as_ref()).unwrap_or_default();
            let definition = id.get();
            let place = definition.find(key).and_then(|place| definition.at(place));
            match (key, place) {
                _ if index >= ATTRIBUTES_MAX => return Err(XmlError::Unknown(self.path.clone())),
                ("value", _) if has_value => found = Some(text.into_owned()),
                (_, Some((element, kind))) if element.is_attribute => {
                    object.insert(kind.name.to_owned(), text.into_owned().into());
                }
                ("xmlns", _) if text == FHIR => {}
                (key, _) if key.starts_with("xmlns:") => {}
                _ => {
                    self.path.push_name(key);
                    return Err(XmlError::Unknown(self.path.clone()));
                }
            }
        }
        Ok(found)
    }

    /// The markup of a Narrative as it stands; its form is checked with the rest of the resource.
    fn division(&mut self, tag: &BytesStart<'_>, is_empty: bool) -> Result<&'a str, XmlError> {
        let start = self.tag_start;
        if !is_empty {
            let end = self.reader.read_to_end(tag.name());
            end.map_err(|_| malformed(&self.reader))?;
        }
        let end = usize::try_from(self.reader.buffer_position());
        let markup = end.ok().and_then(|end| self.text.get(start..end));
        markup.ok_or_else(|| malformed(&self.reader))
    }
}

/// The value in JSON. What has not the form of its type stays text, which the check of the resource refuses.
fn to_json(primitive: Primitive, text: String) -> Value {
    match text.as_str() {
        "true" if primitive == Primitive::Boolean => true.into(),
        "false" if primitive == Primitive::Boolean => false.into(),
        digits if primitive.is_number() && Primitive::Decimal.is_well_formed(digits) => {
            let number: Result<Number, _> = serde_json::from_str(digits);
            number.map_or(Value::String(text), Value::Number)
        }
        _ => text.into(),
    }
}

fn add(element: &Element, name: &str, value: Value, object: &mut Map<String, Value>) {
    if !element.is_repeating {
        object.insert(name.to_owned(), value);
    } else if let Some(items) = list(name, object) {
        items.push(value);
    }
}

/// Both lists of a repeating primitive grow, so that their places agree.
fn add_primitive(
    element: &Element,
    name: &str,
    beside_name: &str,
    (value, beside): Pair,
    object: &mut Map<String, Value>,
) {
    if element.is_repeating {
        add(element, name, value.unwrap_or_default(), object);
        add(element, beside_name, beside.unwrap_or_default(), object);
        return;
    }
    // Neither is there: null, which the check of the resource refuses.
    if value.is_some() || beside.is_none() {
        object.insert(name.to_owned(), value.unwrap_or_default());
    }
    if let Some(beside) = beside {
        object.insert(beside_name.to_owned(), beside);
    }
}

fn list<'a>(name: &str, object: &'a mut Map<String, Value>) -> Option<&'a mut Vec<Value>> {
    let list = object
        .entry(name)
        .or_insert_with(|| Vec::<Value>::new().into());
    list.as_array_mut()
}

/// Leaves out lists that hold places alone.
fn settle(object: &mut Map<String, Value>) {
    if !object.keys().any(|name| name.starts_with('_')) {
        return;
    }
    object.retain(|name, value| {
        let is_blank = |items: &Vec<Value>| items.iter().all(Value::is_null);
        let is_beside = name.starts_with('_');
        !(is_beside && value.as_array().is_some_and(is_blank))
    });
    let blank: Vec<String> = object
        .iter()
        .filter(|(name, value)| {
            let items = value.as_array();
            object.contains_key(&format!("_{name}"))
                && items.is_some_and(|items| items.iter().all(Value::is_null))
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in blank {
        object.shift_remove(&name);
    }
}
