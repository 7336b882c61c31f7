use serde_json::{Value, json};

use super::*;

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn resource(value: Value) -> Resource {
    Resource::from_value(value).unwrap()
}

fn study() -> Resource {
    resource(
        json!({"resourceType": "ImagingStudy", "id": "i1", "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"},
            {"type": {"coding": [{"code": "ACSN"}]}, "value": "A-7"}],
        "subject": {"reference": "Patient/p1"}, "started": "2026-05-02T10:11:12Z",
        "modality": [{"code": "CT"}], "numberOfSeries": 1, "numberOfInstances": 1,
        "series": [{"uid": "1.2.3.4", "modality": {"code": "SR"},
            "instance": [{"uid": "1.2.3.4.5", "sopClass": {"code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"}, "number": 9}]}]}),
    )
}

#[test]
fn dicom_uids_are_numbers_with_dots() {
    for text in ["1.2.840.10008.1", "2.25.0", "1.0"] {
        assert_eq!(Uid::parse(text).unwrap().as_str(), text);
    }
    let long = format!("1.{}", "9".repeat(63));
    for text in [
        "", "1", "1.", ".1", "1..2", "1.02", "1.a", "1.2/3", "1.2?x", "../1", "1.2 ", &long,
    ] {
        assert!(Uid::parse(text).is_none(), "{text}");
    }
}

#[test]
fn wado_paths_have_uids_in_their_order_and_nothing_else() {
    for path in [
        "1.2",
        "1.2/metadata",
        "1.2/rendered",
        "1.2/series/1.3",
        "1.2/series/1.3/thumbnail",
        "1.2/series/1.3/instances/1.4/metadata",
        "1.2/series/1.3/instances/1.4/frames/1,2",
        "1.2/series/1.3/instances/1.4/frames/3/rendered",
    ] {
        let asked = Retrieval::parse(path).unwrap();
        assert_eq!(asked.path(), format!("/studies/{path}"));
    }
    for path in [
        "",
        "1.2/",
        "1.2/..",
        "x",
        "1.2/series",
        "1.2/series/x",
        "1.2/instances/1.4",
        "1.2/series/1.3/frames/1",
        "1.2/series/1.3/instances/1.4/frames/0",
        "1.2/series/1.3/instances/1.4/frames/+1",
        "1.2/series/1.3/instances/1.4/frames/1/metadata",
        "1.2/metadata/rendered",
        "1.2/bulkdata/x",
    ] {
        assert!(Retrieval::parse(path).is_none(), "{path}");
    }
}

#[test]
fn wado_series_and_instances_are_those_that_the_study_lists() {
    for (path, is_listed) in [
        ("1.2.3", true),
        ("1.2.3/series/1.2.3.4", true),
        ("1.2.3/series/9.9", false),
        ("1.2.3/series/1.2.3.4/instances/1.2.3.4.5", true),
        ("1.2.3/series/1.2.3.4/instances/9.9", false),
        ("1.2.3/series/9.9/instances/1.2.3.4.5", false),
    ] {
        let asked = Retrieval::parse(path).unwrap();
        assert_eq!(lists(&study(), &asked), is_listed, "{path}");
    }
}

#[test]
fn qido_attributes_are_parameters_of_fhir() {
    let read = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        StudyQuery::read(&pairs.collect::<Vec<_>>())
    };
    let query = read(&[
        ("StudyInstanceUID", "1.2.3,1.2.4"),
        ("00100020", "A|B"),
        ("AccessionNumber", "A-7"),
        ("StudyDate", "20260501-20260531"),
        ("ModalitiesInStudy", "CT"),
        ("limit", "10"),
        ("offset", "5"),
        ("includefield", "all"),
    ])
    .unwrap();
    let parameters: Vec<(&str, &str)> = query
        .parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        parameters,
        [
            ("_include", "ImagingStudy:patient"),
            (
                "identifier",
                "urn:dicom:uid|urn:oid:1.2.3,urn:dicom:uid|urn:oid:1.2.4"
            ),
            ("patient.identifier", "A\\|B"),
            ("identifier", "A-7"),
            ("started", "ge2026-05-01"),
            ("started", "le2026-05-31"),
            ("modality", "CT"),
            ("_count", "15"),
            ("_sort", "-started"),
        ]
    );
    assert!(query.admits(&study()));
    for (pair, expected) in [
        (("PatientName", "Holm"), StudyQueryError::Attribute),
        (("PatientID", "7*"), StudyQueryError::Value("PatientID")),
        (
            ("StudyInstanceUID", "1.2,x"),
            StudyQueryError::Value("StudyInstanceUID"),
        ),
        (("StudyDate", "2026"), StudyQueryError::Value("StudyDate")),
        (("StudyDate", "-"), StudyQueryError::Value("StudyDate")),
        (
            ("ModalitiesInStudy", "ct"),
            StudyQueryError::Value("ModalitiesInStudy"),
        ),
        (("limit", "0"), StudyQueryError::Page),
        (("limit", "9999"), StudyQueryError::Page),
    ] {
        assert_eq!(read(&[pair]).unwrap_err(), expected, "{pair:?}");
    }
}

#[test]
fn qido_rows_have_the_attributes_of_a_study() {
    let patient = resource(
        json!({"resourceType": "Patient", "id": "p1", "gender": "female",
        "birthDate": "1980-02-03", "identifier": [{"value": "7731"}],
        "name": [{"family": "Holm", "given": ["Inge", "M"]}]}),
    );
    let row = study_row(&study(), Some(&patient), "https://a/dicom-web").unwrap();
    let first = |tag: &str| row[tag]["Value"][0].clone();
    assert_eq!(first("0020000D"), "1.2.3");
    assert_eq!(first("00080020"), "20260502");
    assert_eq!(first("00080030"), "101112");
    assert_eq!(first("00080050"), "A-7");
    assert_eq!(row["00080061"]["Value"], json!(["CT", "SR"]));
    assert_eq!(first("00100010"), json!({"Alphabetic": "Holm^Inge M"}));
    assert_eq!(first("00100020"), "7731");
    assert_eq!(first("00100030"), "19800203");
    assert_eq!(first("00100040"), "F");
    assert_eq!(first("00201206"), 1);
    assert_eq!(first("00081190"), "https://a/dicom-web/studies/1.2.3");
    let series = series_rows(&study(), "https://a/dicom-web");
    assert_eq!(series[0]["0020000E"]["Value"][0], "1.2.3.4");
    let instances = instance_rows(&study(), &uid("1.2.3.4"), "https://a/dicom-web");
    assert_eq!(instances[0]["00080018"]["Value"][0], "1.2.3.4.5");
    assert_eq!(
        instances[0]["00080016"]["Value"][0],
        "1.2.840.10008.5.1.4.1.1.2"
    );
    assert!(instance_rows(&study(), &uid("9.9"), "https://a").is_empty());
}
