//! Bad input: a fault with the element's path, never a panic, never a value of the document.

use interop::ccda::{Fault, Limits, Mapped, Original, Rule, map, read};
use proptest::prelude::*;

use super::{DOCUMENTS, accepted, rows};

fn ccd() -> String {
    String::from_utf8(rows::document("ccd")).unwrap()
}

fn refused(bytes: &[u8]) -> Vec<Fault> {
    match read(bytes, &Limits::default()) {
        Err(fault) => vec![fault],
        Ok(document) => match map(&document, &mut rows::urls()) {
            Err(faults) => faults,
            Ok(_) => panic!("taken: {}", String::from_utf8_lossy(bytes)),
        },
    }
}

fn taken(bytes: &[u8]) -> Mapped {
    let document = read(bytes, &Limits::default()).unwrap();
    map(&document, &mut rows::urls()).unwrap()
}

#[test]
fn each_mistake_is_named_by_the_path_of_its_element() {
    let header = "ClinicalDocument.recordTarget[0].patientRole";
    let body = "ClinicalDocument.component[0].structuredBody.component";
    for (from, to, path, rule) in [
        (
            "value=\"195803140615-0800\"",
            "value=\"Plantedtime\"",
            format!("{header}.patient.birthTime"),
            "the value must be a date, YYYY[MM[DD]]",
        ),
        (
            "root=\"2.16.840.1.113883.4.1\"",
            "root=\"Plantedroot\"",
            format!("{header}.id[1]"),
            "the value must be an OID or a UUID as `root`",
        ),
        (
            "value=\"13.20\"",
            "value=\"13,Planted\"",
            format!("{body}[3].section.entry[0].organizer.component[0].observation.value"),
            "the value must be a decimal number of at most 18 digits",
        ),
        (
            "<repeatNumber value=\"2\"/>",
            "<repeatNumber value=\"two\"/>",
            format!("{body}[5].section.entry[0].substanceAdministration.repeatNumber"),
            "the value must be a whole number",
        ),
        (
            "<period value=\"12\" unit=\"h\"/>",
            "<period value=\"12\" unit=\"moon\"/>",
            format!("{body}[2].section.entry[0].substanceAdministration.effectiveTime[1].period"),
            "the value must be a length of time in s, min, h, d, wk, mo or a",
        ),
        (
            "<value xsi:type=\"CD\" code=\"8517006\" codeSystem=\"2.16.840.1.113883.6.96\"",
            "<value xsi:type=\"CD\" code=\"8517006\" codeSystem=\"SNOMED Planted\"",
            format!("{body}[8].section.entry[0].observation.value"),
            "the value must be an OID or a UUID as `codeSystem`",
        ),
    ] {
        let text = ccd();
        assert!(text.contains(from), "{from}");
        let faults = taken(text.replace(from, to).as_bytes()).misread;
        assert_eq!(
            (faults[0].path.clone(), faults[0].rule.to_string()),
            (path, rule.to_owned())
        );
        assert!(!format!("{faults:?}").contains("Planted"));
        let outcome = Fault::outcome(&faults).to_value().to_string();
        assert!(outcome.contains(&faults[0].path) && !outcome.contains("Planted"));
    }
}

#[test]
fn what_a_document_must_have_is_missed_by_name() {
    let without = |from: &str, to: &str| {
        let text = ccd();
        let (start, end) = (text.find(from).unwrap(), text.find(to).unwrap() + to.len());
        let cut = format!("{}{}", &text[..start], &text[end..]);
        refused(cut.as_bytes())[0].to_string()
    };
    assert_eq!(
        without("<recordTarget>", "</recordTarget>"),
        "ClinicalDocument: the element must have `recordTarget.patientRole`"
    );
    assert_eq!(
        without("<effectiveTime value=\"20260310093000", "0500\"/>"),
        "ClinicalDocument: the element must have `effectiveTime`"
    );
    let twice = ccd().replacen(
        "<author>",
        "<recordTarget><patientRole/></recordTarget><author>",
        1,
    );
    assert_eq!(
        refused(twice.as_bytes())[0].path,
        "ClinicalDocument.recordTarget[1].patientRole"
    );
}

#[test]
fn documents_without_an_identifier_are_known_by_their_bytes() {
    let text = ccd().replace("extension=\"CCD-2026-001\"", "nullFlavor=\"UNK\"");
    let identifier = |text: &str| taken(text.as_bytes()).identifier["value"].clone();
    let own = identifier(&text);
    assert_eq!(own, identifier(&text));
    assert_ne!(own, identifier(&format!("{text}\n")));
}

#[test]
fn a_document_that_does_not_say_whose_it_is_can_be_filed_for_somebody_alone() {
    let text = ccd()
        .replace("extension=\"MRN-5512\"", "nullFlavor=\"UNK\"")
        .replace(
            "root=\"2.16.840.1.113883.4.1\"",
            "nullFlavor=\"MSK\" root=\"1.2\"",
        );
    let mapped = taken(text.as_bytes());
    let fault = mapped.unclaimed.clone().unwrap();
    assert_eq!(
        fault.to_string(),
        "ClinicalDocument.recordTarget[0].patientRole: the element must have `id`"
    );
    assert_eq!(taken(ccd().as_bytes()).unclaimed, None);
    let filed = mapped.for_patient("p1").bundle.to_string();
    assert!(filed.contains("&patient=p1") && !filed.contains("patient.identifier"));
}

#[test]
fn what_can_hardly_be_read_at_all_is_refused() {
    let ids = "<id root=\"none\"/>".repeat(501);
    let text = ccd().replacen("<effectiveTime", &format!("{ids}<effectiveTime"), 1);
    assert!(
        map(
            &read(text.as_bytes(), &Limits::default()).unwrap(),
            &mut rows::urls()
        )
        .is_ok()
    );
    let text = ccd().replacen("<patientRole>", &format!("<patientRole>{ids}"), 1);
    assert_eq!(
        refused(text.as_bytes())[0].rule,
        Rule::TooManyMistakes { limit: 500 }
    );
}

#[test]
fn nothing_is_expanded_and_nothing_is_fetched() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
        <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]>";
    let outside = "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">";
    for prolog in [bomb, outside] {
        let text = ccd().replacen(
            "<ClinicalDocument",
            &format!("{prolog}<ClinicalDocument"),
            1,
        );
        assert_eq!(refused(text.as_bytes())[0].rule, Rule::DocumentType);
    }
    let text = ccd().replace("Hives,", "&c;");
    let fault = &refused(text.as_bytes())[0];
    assert_eq!(fault.rule, Rule::Entity);
    assert!(
        fault.path.ends_with("section.text.table.tbody.tr[0].td[1]"),
        "{}",
        fault.path
    );
    let text = ccd().replace("displayName=\"Hives\"", "displayName=\"&c;\"");
    assert_eq!(refused(text.as_bytes())[0].rule, Rule::Entity);
    let include = ccd().replace(
        "Hives,",
        "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"/etc/passwd\"/>",
    );
    assert!(
        read(include.as_bytes(), &Limits::default()).is_ok(),
        "an element that means nothing"
    );
}

#[test]
fn limits_hold() {
    let open = "<ClinicalDocument xmlns=\"urn:hl7-org:v3\">";
    let deep = format!("{open}{}", "<component>".repeat(5_000));
    assert_eq!(
        refused(deep.as_bytes())[0].rule,
        Rule::TooDeep { limit: 100 }
    );
    let long = format!(
        "{open}<id extension=\"{}\"/></ClinicalDocument>",
        "x".repeat(70_000)
    );
    let fault = &refused(long.as_bytes())[0];
    assert_eq!(fault.rule, Rule::AttributeTooLong { limit: 65_536 });
    assert_eq!(fault.path, "ClinicalDocument.id[0]");
    let many: String = (0..200_000)
        .map(|number| format!(" a{number}=\"\""))
        .collect();
    let wide = format!("{open}<id{many}/></ClinicalDocument>");
    assert_eq!(
        refused(wide.as_bytes())[0].rule,
        Rule::TooManyAttributes { limit: 64 }
    );
    let spaces: String = (0..1_000)
        .map(|number| format!(" xmlns:a{number}=\"b\""))
        .collect();
    let named = format!("{open}<id{spaces}/></ClinicalDocument>");
    assert!(matches!(
        refused(named.as_bytes())[0].rule,
        Rule::Malformed { .. }
    ));
    let flat = format!("{open}{}</ClinicalDocument>", "<id/>".repeat(500_001));
    assert_eq!(
        refused(flat.as_bytes())[0].rule,
        Rule::TooManyElements { limit: 500_000 }
    );
    let large = vec![b' '; (16 << 20) + 1];
    assert_eq!(refused(&large)[0].rule, Rule::TooLarge { limit: 16 << 20 });
    // Pieces of text are put together without copying what is there.
    let pieces = format!(
        "{open}<title>{}</title></ClinicalDocument>",
        "&amp;".repeat(2 << 20)
    );
    assert!(read(pieces.as_bytes(), &Limits::default()).is_ok());
}

#[test]
fn narrative_is_not_copied_without_bound_and_many_entries_are_no_burden() {
    let (head, tail) = ("<text>Feels fine", "</text>");
    let long = format!(
        "{head}<paragraph ID=\"long\">{}</paragraph>{tail}",
        "x".repeat(1 << 20)
    );
    let entry = "<entry><observation classCode=\"OBS\" moodCode=\"EVN\"><templateId root=\"2.16.840.1.113883.10.20.22.4.38\"/>\
        <code code=\"1\"><originalText><reference value=\"#long\"/></originalText></code></observation></entry>";
    let with =
        |entries: String| ccd().replace("<text>Former smoker</text>", &format!("{long}{entries}"));
    let text = with(entry.repeat(40));
    assert_eq!(refused(text.as_bytes())[0].rule, Rule::TooMuchReferred);
    let document = read(with(entry.repeat(4)).as_bytes(), &Limits::default()).unwrap();
    assert!(map(&document, &mut rows::urls()).is_ok());
    let unknown = "<entry><act/></entry>".repeat(200_000);
    let document = read(with(unknown).as_bytes(), &Limits::default()).unwrap();
    let mapped = map(&document, &mut rows::urls()).unwrap();
    assert_eq!(mapped.unread.len(), 200_000);
    assert!(
        mapped.unread[199_999].ends_with("entry[199999].act"),
        "{}",
        mapped.unread[199_999]
    );
}

#[test]
fn encodings_are_those_that_the_document_names() {
    let family = |bytes: &[u8]| {
        let document = read(bytes, &Limits::default()).unwrap();
        let bundle = map(&document, &mut rows::urls()).unwrap().bundle;
        bundle["entry"][0]["resource"]["name"][0]["given"][0].clone()
    };
    let latin = rows::document("discharge");
    assert_eq!(family(&latin), "Jörg");
    let text: String = latin.iter().map(|byte| char::from(*byte)).collect();
    let sixteen: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(
            text.replace("ISO-8859-1", "UTF-16")
                .encode_utf16()
                .flat_map(u16::to_le_bytes),
        )
        .collect();
    assert_eq!(family(&sixteen), "Jörg");
    let broken = text.replace("ISO-8859-1", "UTF-8");
    let broken: Vec<u8> = broken
        .chars()
        .map(|one| u8::try_from(u32::from(one)).unwrap())
        .collect();
    assert_eq!(refused(&broken)[0].rule, Rule::NotText);
    let unknown = text.replace("ISO-8859-1", "EBCDIC-X");
    assert_eq!(refused(unknown.as_bytes())[0].rule, Rule::NotText);
}

#[test]
fn what_is_no_document_is_refused() {
    for text in [
        "",
        "no XML",
        "{}",
        "<ClinicalDocument/>",
        "<ClinicalDocument xmlns=\"http://hl7.org/fhir\"/>",
        "<Bundle xmlns=\"urn:hl7-org:v3\"/>",
        "<ClinicalDocument xmlns=\"urn:hl7-org:v3\">",
        "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"></id>",
        "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"/><ClinicalDocument xmlns=\"urn:hl7-org:v3\"/>",
        "<ClinicalDocument xmlns=\"urn:hl7-org:v3\" a=\"1\" a=\"2\"/>",
        "<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><id>&#0;</id></ClinicalDocument>",
    ] {
        assert!(!refused(text.as_bytes()).is_empty(), "{text}");
    }
}

/// A document of ours with some of its bytes changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        prop::sample::select(b"<>/\"&;= 0A.\x80".to_vec()),
    );
    let cut = (any::<prop::sample::Index>(), 0..400_usize);
    (
        prop::sample::select(DOCUMENTS.to_vec()),
        prop::collection::vec(change, 0..4),
        proptest::option::of(cut),
    )
        .prop_map(|(name, changes, cut)| {
            let mut bytes = rows::document(name);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some((at, length)) = cut {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + length);
                bytes.drain(at..end);
            }
            bytes
        })
}

/// A document of ours without some of its elements, each a line or part of one.
fn thinned() -> impl Strategy<Value = String> {
    let drops = prop::collection::vec(any::<prop::sample::Index>(), 1..8);
    (prop::sample::select(DOCUMENTS.to_vec()), drops).prop_map(|(name, drops)| {
        let text: String = rows::document(name)
            .iter()
            .map(|byte| char::from(*byte))
            .collect();
        let text = text.replace("ISO-8859-1", "UTF-8");
        let mut pieces: Vec<&str> = text.split_inclusive('>').collect();
        for drop in drops {
            let empty: Vec<usize> = (0..pieces.len())
                .filter(|at| pieces[*at].ends_with("/>"))
                .collect();
            pieces.remove(empty[drop.index(empty.len())]);
        }
        pieces.concat()
    })
}

fn taken_or_refused(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(document) = read(bytes, &Limits::default()) else {
        return Ok(());
    };
    if let Ok(mapped) = map(&document, &mut rows::urls()) {
        let whole = mapped.with_original(&Original {
            bytes,
            id: "original",
            urls: ["urn:uuid:d", "urn:uuid:b", "urn:uuid:p"],
            received_ms: 0,
        });
        let accepted = accepted(whole);
        prop_assert!(accepted.is_ok(), "{accepted:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _refusal = read(&bytes, &Limits::default());
    }

    #[test]
    fn what_is_mapped_of_a_broken_document_is_accepted(bytes in mutated()) {
        taken_or_refused(&bytes)?;
    }

    #[test]
    fn what_is_mapped_of_a_thin_document_is_accepted(text in thinned()) {
        taken_or_refused(text.as_bytes())?;
    }
}
