//! ICD-10-CM, the tabular list of a release, as XML: chapters, blocks and codes within each other, what each takes in and
//! leaves out, and the seventh characters, whose codes are not written out.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;

use super::super::{AtLine, RowProblem};
use super::CATEGORY;
use crate::terminology::{Designation, Draft, Kind};

/// Notes about a code that are properties of it.
const NOTES: [&str; 6] = [
    "includes",
    "excludes1",
    "excludes2",
    "codeFirst",
    "codeAlso",
    "useAdditionalCode",
];
/// Elements within each other.
const DEPTH_MAX: usize = 64;
/// Characters of a code without its dot, before the seventh.
const BEFORE_SEVENTH: usize = 6;

/// Takes what the file says. Where the order file was read before, its names and codes stand.
///
/// # Errors
///
/// The first thing that is not as the format says, with its line.
pub(super) fn read(text: &str, draft: &mut Draft) -> Result<(), AtLine> {
    let mut xml = Reader::from_str(text);
    let mut list = List {
        open: Vec::new(),
        text: String::new(),
        chapter: String::new(),
        block: String::new(),
        codes: Vec::new(),
        draft,
    };
    loop {
        let event = xml.read_event();
        let done = event
            .map_err(|_| RowProblem::Malformed)
            .and_then(|event| list.take(event));
        match done {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(problem) => {
                let at = usize::try_from(xml.buffer_position()).unwrap_or(usize::MAX);
                let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
                let breaks = before.iter().filter(|byte| **byte == b'\n').count();
                let line = u64::try_from(breaks).unwrap_or(u64::MAX).saturating_add(1);
                return Err(AtLine { line, problem });
            }
        }
    }
}

/// A code that is open.
#[derive(Default)]
struct Code {
    code: String,
    name: String,
    has_children: bool,
    /// What its seventh characters mean.
    sevenths: BTreeMap<String, String>,
}

struct List<'d> {
    /// The elements that are open.
    open: Vec<String>,
    text: String,
    chapter: String,
    block: String,
    codes: Vec<Code>,
    draft: &'d mut Draft,
}

impl List<'_> {
    /// Takes an event; whether there are more.
    fn take(&mut self, event: Event<'_>) -> Result<bool, RowProblem> {
        match event {
            Event::Start(tag) => {
                if self.open.len() >= DEPTH_MAX {
                    return Err(RowProblem::Malformed);
                }
                let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
                let attribute = |name: &str| -> Result<String, RowProblem> {
                    let found = tag
                        .try_get_attribute(name)
                        .map_err(|_| RowProblem::Malformed)?;
                    let value = found.map(|found| found.normalized_value(XmlVersion::Implicit1_0));
                    let value = value.transpose().map_err(|_| RowProblem::Malformed)?;
                    Ok(value.unwrap_or_default().into_owned())
                };
                match name.as_str() {
                    "diag" => self.begin(),
                    "sevenChrDef" => {
                        if let Some(code) = self.codes.last_mut() {
                            code.sevenths.clear();
                        }
                    }
                    "section" => self.block = attribute("id")?,
                    "extension" => {
                        let character = attribute("char")?;
                        if character.chars().count() != 1 {
                            return Err(RowProblem::Unknown("extension"));
                        }
                        if let Some(code) = self.codes.last_mut() {
                            code.sevenths.insert(character, String::new());
                        }
                    }
                    _ => {}
                }
                self.open.push(name);
                self.text.clear();
            }
            Event::End(_) => self.end()?,
            Event::Text(text) => {
                let text = text.xml10_content().map_err(|_| RowProblem::Malformed)?;
                self.text.push_str(&text);
            }
            Event::CData(data) => {
                let text = data.xml10_content().map_err(|_| RowProblem::Malformed)?;
                self.text.push_str(&text);
            }
            Event::GeneralRef(reference) => self.text.push(letter(&reference)?),
            Event::DocType(_) => return Err(RowProblem::Malformed),
            Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof if self.open.is_empty() => return Ok(false),
            Event::Eof => return Err(RowProblem::Malformed),
        }
        Ok(true)
    }

    fn begin(&mut self) {
        if let Some(above) = self.codes.last_mut() {
            above.has_children = true;
        }
        let sevenths = self.codes.last().map(|above| above.sevenths.clone());
        self.codes.push(Code {
            sevenths: sevenths.unwrap_or_default(),
            ..Code::default()
        });
    }

    fn end(&mut self) -> Result<(), RowProblem> {
        let name = self.open.pop().unwrap_or_default();
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let words = words.join(" ");
        self.text.clear();
        let parent = self.open.last().map(String::as_str).unwrap_or_default();
        match (parent, name.as_str()) {
            ("chapter", "name") => self.chapter = words,
            ("diag", "name") => self.coded(words)?,
            ("diag", "desc") => self.named(words)?,
            ("sevenChrDef", "extension") => {
                let sevenths = self.codes.last_mut().map(|code| &mut code.sevenths);
                let open = sevenths.into_iter().flatten();
                for (_, meaning) in open.filter(|(_, meaning)| meaning.is_empty()) {
                    meaning.clone_from(&words);
                }
            }
            ("inclusionTerm", "note") => self.designate(words),
            (kind, "note") => {
                if let Some(kind) = NOTES.iter().find(|own| **own == kind) {
                    self.note(kind, &words);
                }
            }
            (_, "diag") => self.finish()?,
            _ => {}
        }
        Ok(())
    }

    fn coded(&mut self, code: String) -> Result<(), RowProblem> {
        let bare = code.replace('.', "");
        let is_code = bare.len() >= CATEGORY
            && bare.len() <= BEFORE_SEVENTH + 1
            && bare.bytes().all(|letter| letter.is_ascii_alphanumeric());
        if !is_code {
            return Err(RowProblem::Unknown("name"));
        }
        if let Some(open) = self.codes.last_mut() {
            open.code = code;
        }
        Ok(())
    }

    fn named(&mut self, name: String) -> Result<(), RowProblem> {
        let above = self
            .codes
            .iter()
            .rev()
            .nth(1)
            .map(|above| above.code.clone());
        let Some(open) = self.codes.last_mut().filter(|open| !open.code.is_empty()) else {
            return Err(RowProblem::Empty("name"));
        };
        if name.is_empty() {
            return Err(RowProblem::Empty("desc"));
        }
        open.name.clone_from(&name);
        let code = open.code.clone();
        let is_new = !self.draft.has(&code);
        if is_new {
            self.draft.concept(&code).display = Some(name);
            if let Some(above) = above {
                self.draft.link(&code, &above);
            }
        }
        self.place(&code);
        Ok(())
    }

    /// Says where a code stands.
    fn place(&mut self, code: &str) {
        self.draft.say(code, "chapter", Kind::String, &self.chapter);
        self.draft.say(code, "block", Kind::String, &self.block);
    }

    fn designate(&mut self, value: String) {
        let Some(open) = self.codes.last().filter(|open| !open.name.is_empty()) else {
            return;
        };
        let designation = Designation {
            language: None,
            usage: None,
            value,
        };
        self.draft.designate(&open.code, designation);
    }

    fn note(&mut self, kind: &str, words: &str) {
        if let Some(open) = self.codes.last().filter(|open| !open.name.is_empty()) {
            self.draft.say(&open.code, kind, Kind::String, words);
        }
    }

    /// Without codes below it a code is for billing, or each with one of its seventh characters is.
    fn finish(&mut self) -> Result<(), RowProblem> {
        let open = self.codes.pop().unwrap_or_default();
        if open.name.is_empty() {
            return Err(RowProblem::Empty("desc"));
        }
        let bare = open.code.replace('.', "");
        let has_sevenths = !open.sevenths.is_empty() && bare.len() <= BEFORE_SEVENTH;
        let is_leaf = !open.has_children;
        self.bill(&open.code, is_leaf && !has_sevenths);
        if is_leaf && has_sevenths {
            for (character, meaning) in &open.sevenths {
                let code = super::dotted(&format!("{bare:X<BEFORE_SEVENTH$}{character}"));
                let is_new = !self.draft.has(&code);
                self.place(&code);
                if is_new {
                    let name = format!("{}, {meaning}", open.name);
                    self.draft.concept(&code).display = Some(name);
                    self.draft.link(&code, &open.code);
                    self.bill(&code, true);
                }
            }
        }
        Ok(())
    }

    /// Says whether a code is for billing, unless the order file has said it.
    fn bill(&mut self, code: &str, is_billable: bool) {
        if !self.draft.says(code, "billable") {
            let value = if is_billable { "true" } else { "false" };
            self.draft.say(code, "billable", Kind::Boolean, value);
        }
    }
}

/// A character that is written as a reference.
fn letter(reference: &BytesRef<'_>) -> Result<char, RowProblem> {
    match reference.resolve_char_ref() {
        Ok(Some(letter)) => return Ok(letter),
        Ok(None) => {}
        Err(_) => return Err(RowProblem::Malformed),
    }
    match reference.as_ref() {
        b"amp" => Ok('&'),
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"apos" => Ok('\''),
        b"quot" => Ok('"'),
        _ => Err(RowProblem::Malformed),
    }
}
