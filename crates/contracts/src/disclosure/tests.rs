use super::*;

const DAY: u64 = 86_400_000;
/// 2026-06-01
const NOW: u64 = 1_780_272_000_000;

fn disclosed(number: u64, days_ago: u64, class: Class) -> Disclosure {
    Disclosure {
        number,
        at: NOW - days_ago * DAY,
        recipient: format!("recipient {number}"),
        address: Some("1 Main Street".to_owned()),
        description: "laboratory reports".to_owned(),
        purpose: "PUBHLTH".to_owned(),
        class,
        by_consent: false,
    }
}

fn numbers(report: &Accounting) -> Vec<u64> {
    let lines = report.lines.iter();
    lines.flat_map(|line| line.numbers.clone()).collect()
}

#[test]
fn hipaa_1_a_report_has_the_countable_disclosures_of_six_years_with_their_four_fields() {
    // Seven years, one a month.
    let all: Vec<Disclosure> = (0..84)
        .map(|month| disclosed(month, month * 30, Class::PublicHealth))
        .collect();
    let report = account(Regime::Hipaa, &all, &[], NOW);
    let expected = all.iter().filter(|one| one.at >= report.since);
    assert_eq!(report.counted, expected.count());
    // 2020-06-01
    assert_eq!(report.since, 1_590_969_600_000);
    let line = &report.lines.last().unwrap().first;
    assert_eq!(
        (line.at, &*line.recipient, line.address.as_deref()),
        (NOW, "recipient 0", Some("1 Main Street"))
    );
    assert_eq!(
        (&*line.description, &*line.purpose),
        ("laboratory reports", "PUBHLTH")
    );
}

#[test]
fn hipaa_2_what_the_rule_excludes_is_in_no_report_and_stays_in_the_log() {
    let excluded = [
        Class::CarePaymentOperations,
        Class::Individual,
        Class::Incident,
        Class::Authorized,
        Class::Directory,
        Class::NationalSecurity,
        Class::Correctional,
        Class::LimitedDataSet,
    ];
    let mut all: Vec<Disclosure> = (0_u64..)
        .zip(excluded)
        .map(|(number, class)| disclosed(number, 1, class))
        .collect();
    all.push(disclosed(99, 1, Class::Judicial));
    let report = account(Regime::Hipaa, &all, &[], NOW);
    assert_eq!(numbers(&report), [99]);
    assert_eq!(report.left_out, excluded.len());
    // They count elsewhere (D1).
    assert_eq!(account(Regime::Gdpr15, &all, &[], NOW).counted, 8);
    for (class, code) in CODES {
        assert_eq!((Class::parse(code), class.code()), (Some(class), code));
    }
}

#[test]
fn hipaa_3_a_suspension_holds_for_its_agency_and_an_oral_one_ends_after_thirty_days() {
    let mut police = disclosed(1, 50, Class::LawEnforcement);
    police.recipient = "police".to_owned();
    let mut court = disclosed(2, 50, Class::Judicial);
    court.recipient = "police".to_owned();
    let all = [police, court, disclosed(3, 50, Class::LawEnforcement)];
    let oral = Suspension {
        agency: "police".to_owned(),
        from: NOW,
        written_until: None,
    };
    let at = |suspension: &Suspension, days: u64| {
        let now = NOW + days * DAY;
        numbers(&account(
            Regime::Hipaa,
            &all,
            std::slice::from_ref(suspension),
            now,
        ))
    };
    let sorted = |mut numbers: Vec<u64>| {
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(sorted(at(&oral, 0)), [2, 3]);
    assert_eq!(sorted(at(&oral, 29)), [2, 3]);
    assert_eq!(sorted(at(&oral, 30)), [1, 2, 3], "it ends by itself");
    let written = Suspension {
        written_until: Some(NOW + 90 * DAY),
        ..oral
    };
    assert_eq!(sorted(at(&written, 89)), [2, 3]);
    assert_eq!(sorted(at(&written, 90)), [1, 2, 3]);
}

#[test]
fn hipaa_4_repeated_disclosures_are_one_line_with_the_first_how_many_and_the_last() {
    let all: Vec<Disclosure> = (0..100)
        .map(|number| Disclosure {
            recipient: "registry".to_owned(),
            ..disclosed(number, number, Class::PublicHealth)
        })
        .collect();
    let report = account(Regime::Hipaa, &all, &[], NOW);
    assert_eq!(report.lines.len(), 1);
    let line = &report.lines[0];
    assert_eq!(
        (line.count, line.first.at, line.last),
        (100, NOW - 99 * DAY, NOW)
    );
}

#[test]
fn hipaa_5_the_first_report_in_twelve_months_is_free() {
    assert!(is_free(&[], NOW));
    assert!(!is_free(&[NOW - 364 * DAY], NOW));
    assert!(is_free(&[NOW - 366 * DAY], NOW));
}

#[test]
fn part2_3_the_intermediarys_list_has_three_years() {
    let consented = |number, days| Disclosure {
        by_consent: true,
        ..disclosed(number, days, Class::CarePaymentOperations)
    };
    let all = [
        consented(1, 10),
        consented(2, 3 * 366 + 1),
        disclosed(3, 10, Class::CarePaymentOperations),
    ];
    let report = account(Regime::Part2Intermediary, &all, &[], NOW);
    assert_eq!(numbers(&report), [1]);
}

#[test]
fn part2_4_consented_disclosures_for_care_count_there_and_not_in_the_hipaa_report() {
    let care = Disclosure {
        by_consent: true,
        ..disclosed(1, 10, Class::CarePaymentOperations)
    };
    let court = disclosed(2, 10, Class::Judicial);
    let all = [care, court];
    let part2 = account(Regime::Part2Consented, &all, &[], NOW);
    let hipaa = account(Regime::Hipaa, &all, &[], NOW);
    assert_eq!((numbers(&part2), numbers(&hipaa)), (vec![1], vec![2]));
    // Both are made of the same disclosures.
    for report in [part2, hipaa] {
        assert_eq!(report.counted + report.left_out, all.len());
    }
}

#[test]
fn gdpr_3_a_copy_names_every_recipient() {
    let all = [
        disclosed(1, 4_000, Class::CarePaymentOperations),
        disclosed(2, 1, Class::Judicial),
        disclosed(3, 1, Class::Individual),
    ];
    let report = account(Regime::Gdpr15, &all, &[], NOW);
    assert_eq!(numbers(&report), [1, 2]);
}
