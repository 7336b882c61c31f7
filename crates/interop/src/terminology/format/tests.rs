//! Rows of each format, with codes and names of our own.

use super::*;
use crate::terminology::{About, Catalogue, Concepts as _};

/// The code system of rows, given by table as lines; fields are separated as the table says.
fn read(format: Format, tables: &[(usize, &str)]) -> Result<Catalogue, RowProblem> {
    let mut draft = Draft::default();
    for (at, text) in tables {
        let table = &format.tables()[*at];
        let separate = |line: &str| -> Vec<String> {
            let separator = match table.dialect {
                Dialect::Csv => ",",
                Dialect::Tabs => "\t",
                Dialect::Bars => "|",
                Dialect::Line | Dialect::Xml => return vec![line.to_owned()],
            };
            line.split(separator).map(str::to_owned).collect()
        };
        let mut lines = text.lines();
        let columns = match table.dialect {
            Dialect::Csv | Dialect::Tabs => separate(lines.next().unwrap()),
            _ => table.columns.iter().map(|it| (*it).to_owned()).collect(),
        };
        table.check(&columns)?;
        for line in lines {
            let fields = separate(line);
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let row = Row {
                columns: &columns,
                fields: &fields,
            };
            table.read(&row, &mut draft)?;
        }
    }
    let about = About {
        url: "urn:x".to_owned(),
        version: "1".to_owned(),
        name: "X".to_owned(),
    };
    Ok(draft.finish(about))
}

/// Display, whether it is in use, and parents.
fn shown(catalogue: &Catalogue, code: &str) -> String {
    let number = catalogue.number(code).unwrap().unwrap();
    let concept = catalogue.concept(number).unwrap().unwrap();
    let mark = if concept.is_inactive { " -" } else { "" };
    let parents = catalogue.hierarchy().parents(number).iter();
    let parents: String = parents
        .map(|it| format!(" <{}", catalogue.concept(*it).unwrap().unwrap().code))
        .collect();
    format!("{}{mark}{parents}", concept.display.unwrap())
}

#[test]
fn loinc_has_terms_and_the_hierarchy_of_components() {
    let terms = "LOINC_NUM,COMPONENT,STATUS,CLASS,LONG_COMMON_NAME\n\
                 90001-1,Brightness,ACTIVE,CHEM,Brightness of sample\n\
                 90002-9,Dimness,DEPRECATED,CHEM,Dimness of sample";
    let places = "PATH_TO_ROOT,SEQUENCE,IMMEDIATE_PARENT,CODE,CODE_TEXT\n\
                  ,1,,LP90000-1,Light\nLP90000-1,2,LP90000-1,90001-1,Brightness";
    let loinc = read(Format::Loinc, &[(0, terms), (1, places)]).unwrap();
    assert_eq!(shown(&loinc, "90001-1"), "Brightness of sample <LP90000-1");
    assert_eq!(shown(&loinc, "90002-9"), "Dimness of sample -");
    assert_eq!(loinc.with_property("CLASS", "CHEM").unwrap(), [0, 1]);
    let lacking = read(Format::Loinc, &[(0, "LOINC_NUM,COMPONENT,STATUS\n")]);
    let missing = RowProblem::ColumnMissing("LONG_COMMON_NAME");
    assert_eq!(lacking.unwrap_err(), missing);
}

#[test]
fn snomed_has_names_parents_and_attributes() {
    let concepts = "id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId\n\
                    1001\t20260101\t1\t9\t900000000000074008\n1002\t20260101\t1\t9\t900000000000073002\n\
                    1003\t20260101\t0\t9\t900000000000074008";
    let descriptions = "id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm\n\
                        1\t2\t1\t9\t1001\ten\t900000000000003001\tMalady (disorder)\n\
                        2\t2\t1\t9\t1002\ten\t900000000000013009\tSore\n\
                        3\t2\t1\t9\t1002\ten\t900000000000003001\tSore \"big\" toe (disorder)\n\
                        4\t2\t0\t9\t1002\ten\t900000000000013009\tOld name\n\
                        5\t2\t1\t9\t1003\ten\t900000000000003001\tGone (disorder)";
    let relationships = "id\tactive\tsourceId\tdestinationId\ttypeId\n\
                         1\t1\t1002\t1001\t116680003\n2\t0\t1001\t1002\t116680003\n3\t1\t1002\t77\t363698007";
    let snomed = read(
        Format::Snomed,
        &[(0, concepts), (1, descriptions), (2, relationships)],
    );
    let snomed = snomed.unwrap();
    assert_eq!(shown(&snomed, "1001"), "Malady");
    assert_eq!(shown(&snomed, "1002"), "Sore \"big\" toe <1001");
    assert_eq!(shown(&snomed, "1003"), "Gone -");
    assert_eq!(snomed.with_property("363698007", "77").unwrap(), [1]);
    let sore = snomed.of_code("1002").unwrap().unwrap();
    assert_eq!(sore.designations.len(), 2);
    let odd = read(
        Format::Snomed,
        &[(0, "id\tactive\tmoduleId\tdefinitionStatusId\n1\tyes\t2\t3")],
    );
    assert_eq!(odd.unwrap_err(), RowProblem::Unknown("active"));
}

#[test]
fn icd_10_cm_is_below_what_its_code_begins_with() {
    let line = |code: &str, billable: &str, short: &str, long: &str| {
        format!("00001 {code:<7} {billable} {short:<60} {long}\n")
    };
    let text = line("Z90", "0", "Oddness", "Oddness of temper")
        + &line("Z900", "0", "Odd", "Odd, mildly")
        + &line("Z9001XA", "1", "Odd, once", "Odd, mildly, once");
    let icd = read(Format::Icd10Cm, &[(0, &text)]).unwrap();
    assert_eq!(shown(&icd, "Z90"), "Oddness of temper");
    assert_eq!(shown(&icd, "Z90.0"), "Odd, mildly <Z90");
    assert_eq!(shown(&icd, "Z90.01XA"), "Odd, mildly, once <Z90.0");
    for (text, column) in [("00001 Z9", "code"), ("00001 Z90     x Odd", "billable")] {
        let problem = read(Format::Icd10Cm, &[(0, text)]).unwrap_err();
        assert_eq!(problem, RowProblem::Unknown(column));
    }
}

const TABULAR: &str = "<?xml version=\"1.0\"?>\n<ICD10CM.tabular><version>2026</version>\
    <chapter><name>21</name><desc>Made-up chapter</desc><sectionIndex><sectionRef id=\"Z90-Z91\"/></sectionIndex>\n\
    <section id=\"Z90-Z91\"><desc>Oddities</desc>\n\
    <diag><name>Z90</name><desc>Oddness of temper</desc><inclusionTerm><note>Quirk &amp; whim</note></inclusionTerm>\
    <excludes1><note>mere tiredness (Z91.-)</note></excludes1>\
    <sevenChrDef><extension char=\"A\">once</extension><extension char=\"D\">again</extension></sevenChrDef>\n\
    <diag><name>Z90.0</name><desc>Odd, mildly</desc></diag>\n\
    <diag><name>Z90.1</name><desc>Odd, wildly</desc><diag><name>Z90.11</name><desc>Odd, at night</desc>\
    <sevenChrDef><extension char=\"S\">since</extension></sevenChrDef></diag></diag></diag>\n\
    <diag><name>Z91</name><desc>Tiredness</desc></diag></section></chapter></ICD10CM.tabular>\n";

fn tabular(order: &str, text: &str) -> Result<Catalogue, AtLine> {
    let mut draft = Draft::default();
    let [lines, xml] = Format::Icd10Cm.tables() else {
        panic!("two tables");
    };
    for line in order.lines() {
        let row = Row {
            columns: &[],
            fields: &[line],
        };
        lines.read(&row, &mut draft).unwrap();
    }
    xml.read_whole(text, &mut draft)?;
    let about = About {
        url: "urn:x".to_owned(),
        version: "1".to_owned(),
        name: "X".to_owned(),
    };
    Ok(draft.finish(about))
}

#[test]
fn the_tabular_list_of_icd_10_cm_has_its_notes_and_seventh_characters() {
    let icd = tabular("", TABULAR).unwrap();
    assert_eq!(shown(&icd, "Z90.1"), "Odd, wildly <Z90");
    assert_eq!(shown(&icd, "Z90.0XXD"), "Odd, mildly, again <Z90.0");
    assert_eq!(shown(&icd, "Z90.11XS"), "Odd, at night, since <Z90.11");
    assert_eq!(icd.number("Z90.11XA").unwrap(), None, "its own characters");
    let oddness = icd.of_code("Z90").unwrap().unwrap();
    assert_eq!(oddness.designations[0].value, "Quirk & whim");
    let says = |name: &str, value: &str| icd.with_property(name, value).unwrap().len();
    assert_eq!(says("excludes1", "mere tiredness (Z91.-)"), 1);
    assert_eq!((says("block", "Z90-Z91"), says("chapter", "21")), (8, 8));
    assert_eq!(
        (says("billable", "true"), says("billable", "false")),
        (4, 4)
    );
}

#[test]
fn names_and_codes_of_the_order_file_stand_beside_the_tabular_list() {
    let line = |code: &str, billable: &str, name: &str| {
        format!("00001 {code:<7} {billable} {name:<60} {name}\n")
    };
    let order = line("Z90", "0", "Oddness") + &line("Z900XXA", "1", "Odd, once, as ordered");
    let icd = tabular(&order, TABULAR).unwrap();
    assert_eq!(shown(&icd, "Z90"), "Oddness");
    assert_eq!(shown(&icd, "Z90.0XXA"), "Odd, once, as ordered <Z90");
    assert_eq!(icd.of_code("Z90").unwrap().unwrap().designations.len(), 1);
    assert_eq!(icd.with_property("billable", "false").unwrap().len(), 4);
}

#[test]
fn a_tabular_list_that_is_none_is_told_with_its_line() {
    for (from, to, line, problem) in [
        (
            "<name>Z91</name>",
            "<name>Z9</name>",
            7,
            RowProblem::Unknown("name"),
        ),
        ("<desc>Tiredness</desc>", "", 7, RowProblem::Empty("desc")),
        (
            "char=\"S\"",
            "char=\"\"",
            6,
            RowProblem::Unknown("extension"),
        ),
        ("</section>", "", 7, RowProblem::Malformed),
        ("&amp;", "&quirk;", 4, RowProblem::Malformed),
        (
            "\n<ICD10CM",
            "\n<!DOCTYPE x [<!ENTITY a \"b\">]><ICD10CM",
            2,
            RowProblem::Malformed,
        ),
    ] {
        assert!(TABULAR.contains(from), "{from}");
        let told = tabular("", &TABULAR.replacen(from, to, 1)).map(|_| ());
        assert_eq!(told, Err(AtLine { line, problem }), "{from}");
    }
    let deep = "<diag>".repeat(100);
    assert_eq!(
        tabular("", &deep).map(|_| ()),
        Err(AtLine {
            line: 1,
            problem: RowProblem::Malformed
        })
    );
}

#[test]
fn rxnorm_has_its_own_names_and_relations() {
    let names = "9001|ENG|||||||||| RXNORM|IN|9001|feelgoodine||N||\n\
                 9002|ENG||||||||||RXNORM|SCD|9002|feelgoodine 5 MG Oral Tablet||N||\n\
                 9002|ENG||||||||||RXNORM|SY|9002|feelgood tablet||N||\n\
                 9002|ENG||||||||||OTHER|BN|9002|NOT OURS||N||\n9003|ENG||||||||||RXNORM|IN|9003|oldine||O||";
    let names = names.replace("| RXNORM", "|RXNORM");
    let relations =
        "9001|||RN|9002|||has_ingredient|||RXNORM||||N||\n9001|||RO|9003|||isa|||RXNORM||||N||";
    let rxnorm = read(Format::RxNorm, &[(0, &names), (1, relations)]).unwrap();
    assert_eq!(shown(&rxnorm, "9001"), "feelgoodine");
    assert_eq!(shown(&rxnorm, "9002"), "feelgoodine 5 MG Oral Tablet");
    assert_eq!(shown(&rxnorm, "9003"), "oldine - <9001");
    assert_eq!(rxnorm.with_property("has_ingredient", "9001").unwrap(), [1]);
    let short = read(Format::RxNorm, &[(0, "9001|ENG")]);
    assert_eq!(short.unwrap_err(), RowProblem::TooShort("TTY"));
}

#[test]
fn products_vaccines_and_own_codes_are_read() {
    let products = "PRODUCTID\tPRODUCTNDC\tPROPRIETARYNAME\tPROPRIETARYNAMESUFFIX\tNONPROPRIETARYNAME\tROUTENAME\n\
                    1\t99999-001\tFeelgood\tXR\tfeelgoodine\tORAL\n2\t99999-002\t\t\tplainine\tORAL";
    let ndc = read(Format::Ndc, &[(0, products)]).unwrap();
    assert_eq!(shown(&ndc, "99999-001"), "Feelgood XR");
    assert_eq!(shown(&ndc, "99999-002"), "plainine");
    let vaccines = "901 |oddpox|oddpox vaccine, live|note|Active|False|2026/01/01\n902|old|old one||Inactive|False|";
    let cvx = read(Format::Cvx, &[(0, vaccines)]).unwrap();
    assert_eq!(shown(&cvx, "901"), "oddpox");
    assert_eq!(shown(&cvx, "902"), "old -");
    let own = "code,display,parent,active,ward\nA,All,,,\nB,Bee,A,false,3";
    let own = read(Format::Csv, &[(0, own)]).unwrap();
    assert_eq!(shown(&own, "B"), "Bee - <A");
    assert_eq!(own.with_property("ward", "3").unwrap(), [1]);
}

#[test]
fn names_of_formats_are_read_as_they_are_shown() {
    for (format, name) in Format::ALL {
        assert_eq!(name.parse(), Ok(format));
        assert_eq!(format.to_string(), name);
    }
    assert_eq!("mesh".parse::<Format>(), Err(UnknownFormat));
}
