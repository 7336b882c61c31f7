//! Files of vocabularies: put in, asked, replaced, taken out, damaged.

use std::fs;

use interop::terminology::format::Format;
use interop::terminology::{Draft, lookup, words};
use serde_json::json;
use tempfile::TempDir;

use super::*;

fn about(version: &str) -> About {
    About {
        url: "urn:trees".to_owned(),
        version: version.to_owned(),
        name: "Trees".to_owned(),
    }
}

fn catalogue(version: &str, names: &[(&str, &str, &str)]) -> interop::terminology::Catalogue {
    let mut draft = Draft::default();
    for (code, name, above) in names {
        draft.concept(code).display = Some((*name).to_owned());
        draft.link(code, above);
        draft.say(
            code,
            "letters",
            interop::terminology::Kind::Integer,
            &name.len().to_string(),
        );
    }
    draft.finish(about(version))
}

#[test]
fn a_release_in_a_file_answers_as_it_does_in_memory() {
    let folder = TempDir::new().unwrap();
    let names = [
        ("t", "Tree", ""),
        ("o", "Oak tree", "t"),
        ("b", "Birch, white", "t"),
        ("s", "Sapling of oak", "o"),
    ];
    let written = catalogue("1", &names);
    let path = folder.path().join("x.codes");
    write_release(&written, &path).unwrap();
    // What an earlier attempt left is in nobody's way.
    write_release(&written, &path).unwrap();
    let read = Release::open(&path).unwrap();
    assert_eq!(read.about(), written.about());
    assert_eq!(read.hierarchy(), written.hierarchy());
    for (code, name, _) in names {
        assert_eq!(read.of_code(code).unwrap(), written.of_code(code).unwrap());
        for word in words(name) {
            let found = read.with_prefix(&word[..2]).unwrap();
            assert_eq!(found, written.with_prefix(&word[..2]).unwrap(), "{word}");
            assert!(!found.is_clear());
        }
    }
    let mut values = Vec::new();
    let visit = &mut |value: &str, numbers: &[u32]| values.push((value.to_owned(), numbers.len()));
    read.each_value("letters", visit).unwrap();
    assert_eq!(values.len(), 4);
    assert_eq!(
        read.with_property("letters", "4").unwrap(),
        written.with_property("letters", "4").unwrap()
    );
    assert_eq!(read.number("x").unwrap(), None);
}

#[test]
fn versions_stand_side_by_side_until_they_are_removed() {
    let folder = TempDir::new().unwrap();
    let vocabularies = Vocabularies::open(&folder.path().join("new"), &[]);
    let folder = folder.path().join("new");
    assert_eq!(vocabularies.shelf().about().count(), 0);
    for version in ["2.9", "2.10"] {
        install(&folder, &catalogue(version, &[("o", version, "")])).unwrap();
    }
    let before = vocabularies.shelf();
    vocabularies.refresh();
    assert_eq!(before.systems().count(), 0);
    let shelf = vocabularies.shelf();
    let display = |wanted: &str| {
        let system = shelf.code_system(&Canonical::parse(wanted))?;
        system.of_code("o").unwrap()?.display
    };
    assert_eq!(display("urn:trees").as_deref(), Some("2.10"));
    assert_eq!(display("urn:trees|2.9").as_deref(), Some("2.9"));
    assert_eq!(display("urn:trees|3"), None);
    // The same version again takes its place, and what was being answered goes on.
    install(&folder, &catalogue("2.10", &[("o", "other", "")])).unwrap();
    vocabularies.refresh();
    assert_eq!(display("urn:trees").as_deref(), Some("2.10"));
    let system = vocabularies
        .shelf()
        .code_system(&Canonical::of("urn:trees"))
        .unwrap();
    assert!(
        lookup(system.as_ref(), "o", &[], None)
            .unwrap()
            .to_string()
            .contains("other")
    );
    assert!(remove(&folder, &about("2.10")).unwrap());
    assert!(!remove(&folder, &about("2.10")).unwrap());
    vocabularies.refresh();
    let system = vocabularies
        .shelf()
        .code_system(&Canonical::of("urn:trees"))
        .unwrap();
    assert_eq!(system.about().version, "2.9");
}

#[test]
fn what_is_damaged_or_half_written_is_passed_over() {
    let folder = TempDir::new().unwrap();
    install(folder.path(), &catalogue("1", &[("o", "Oak", "")])).unwrap();
    for name in [
        "a.codes",
        "b.valueset.json",
        "c.conceptmap.json",
        "d.new",
        "e.txt",
    ] {
        fs::write(folder.path().join(name), b"{\"resourceType\": 1").unwrap();
    }
    let vocabularies = Vocabularies::open(folder.path(), &[]);
    assert_eq!(vocabularies.shelf().about().count(), 1);
    let empty = install(folder.path(), &Draft::default().finish(about("2")));
    assert!(matches!(empty, Err(LoadError::Empty)));
}

#[test]
fn the_sample_of_each_format_is_loaded() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/terminology");
    for (format, path, concepts, code, display, parents) in [
        ("snomed", "snomed", 3, "9901002", "Made-up \"itch\"", 1),
        (
            "loinc",
            "loinc",
            2,
            "90001-1",
            "Brightness, made up [Mass/volume] in Blood",
            1,
        ),
        (
            "icd10cm",
            "icd10cm_order_2026.txt",
            2,
            "Z90.01",
            "Made-up oddness of temper, mild",
            1,
        ),
        (
            "icd10cm",
            "icd10cm_tabular_2026.xml",
            5,
            "Z90.0XXD",
            "Made-up oddness, by day, later",
            1,
        ),
        (
            "rxnorm",
            "rxnorm",
            2,
            "99002",
            "madeupine 5 MG Oral Tablet",
            0,
        ),
        ("ndc", "product.txt", 1, "99999-001", "Madeup XR", 0),
        ("cvx", "cvx.txt", 1, "990", "made-up pox", 0),
        ("csv", "own.csv", 2, "FE", "Iron, in blood", 1),
    ] {
        let format: Format = format.parse().unwrap();
        let draft = read_tables(format, &samples.join(path), &mut |_, _, _| {}).unwrap();
        let folder = TempDir::new().unwrap();
        let installed = install(folder.path(), &draft.finish(about("1"))).unwrap();
        assert_eq!(installed.concepts, concepts, "{format}");
        let shelf = Vocabularies::open(folder.path(), &[]).shelf();
        let system = shelf.code_system(&Canonical::of("urn:trees")).unwrap();
        let number = system.number(code).unwrap().unwrap();
        let concept = system.concept(number).unwrap().unwrap();
        assert_eq!(concept.display.as_deref(), Some(display), "{format}");
        assert_eq!(
            system.hierarchy().parents(number).len(),
            parents,
            "{format}"
        );
    }
}

#[test]
fn rows_that_are_not_of_the_format_are_told_with_their_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("codes.csv");
    fs::write(
        &path,
        "\u{feff}code,display\nA,\"All, of it\"\nB,\n,nothing\n",
    )
    .unwrap();
    let error = read_tables(Format::Csv, &path, &mut |_, _, _| {}).unwrap_err();
    let told = error.to_string();
    assert!(
        told.ends_with("codes.csv, line 4: the column `code` is empty"),
        "{told}"
    );
    fs::write(&path, b"code,display\nA,\"All, of it\"\nB,M\xfcsli\n").unwrap();
    let draft = read_tables(Format::Csv, &path, &mut |_, _, _| {}).unwrap();
    let catalogue = draft.finish(about("1"));
    let names: Vec<_> = catalogue
        .concepts()
        .iter()
        .map(|it| it.display.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["All, of it", "Müsli"]);
    fs::write(&path, "kode,display\nA,b\n").unwrap();
    let told = read_tables(Format::Csv, &path, &mut |_, _, _| {})
        .unwrap_err()
        .to_string();
    assert!(
        told.ends_with("line 1: the column `code` is missing"),
        "{told}"
    );
    let missing = read_tables(Format::Snomed, folder.path(), &mut |_, _, _| {}).unwrap_err();
    assert!(
        missing.to_string().contains("sct2_concept_snapshot*.txt"),
        "{missing}"
    );
}

#[test]
fn packages_bring_what_can_be_used() {
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("package");
    fs::create_dir(&package).unwrap();
    let put = |name: &str, value: Value| fs::write(package.join(name), value.to_string()).unwrap();
    put(
        "a.json",
        json!({"resourceType": "CodeSystem", "url": "urn:a", "version": "1", "content": "complete",
        "concept": [{"code": "x", "display": "Ex"}]}),
    );
    put(
        "b.json",
        json!({"resourceType": "CodeSystem", "url": "urn:b", "content": "fragment"}),
    );
    put(
        "c.json",
        json!({"resourceType": "ValueSet", "url": "urn:c", "compose": {"include": [{"system": "urn:a"}]}}),
    );
    put(
        "d.json",
        json!({"resourceType": "ConceptMap", "url": "urn:d", "group": [{"source": "urn:l", "target": "urn:a",
        "element": [{"code": "l", "target": [{"code": "x", "equivalence": "equal"}]}]}]}),
    );
    put("package.json", json!({"name": "own"}));
    let into = folder.path().join("into");
    let found = resources_in(folder.path(), &into, &mut |_, _| {}).unwrap();
    assert_eq!((found.installed.len(), found.passed_over.len()), (3, 1));
    let vocabularies = Vocabularies::open(&into, &["urn:d".to_owned()]);
    assert!(
        vocabularies
            .shelf()
            .value_set(&Canonical::of("urn:c"))
            .is_some()
    );
    let mut resource = Resource::from_value(json!({"resourceType": "Basic", "code": {"coding": [
        {"system": "urn:l", "code": "l"}, {"system": "urn:l", "code": "m", "display": "secret"}]}}));
    let resource = resource.as_mut().unwrap();
    vocabularies.map(resource);
    vocabularies.map(resource);
    assert!(
        resource
            .clone()
            .into_value()
            .to_string()
            .contains("\"code\":\"x\"")
    );
    vocabularies.refresh();
    let listed = unmapped_in(&into).unwrap();
    let expected = UnmappedCode {
        system: "urn:l".to_owned(),
        code: "m".to_owned(),
        count: 2,
    };
    assert_eq!(listed, [expected]);
    let again = Vocabularies::open(&into, &["urn:d".to_owned()]);
    again.map(resource);
    again.refresh();
    assert_eq!(unmapped_in(&into).unwrap()[0].count, 3);
}
