use super::*;

const DAY: u64 = 86_400_000;
/// 2026-06-01.
const NOW: u64 = 1_780_272_000_000;

fn clock(duty: Duty) -> Clock {
    Clock {
        duty,
        received: NOW,
        extended: None,
    }
}

fn days(duty: Duty) -> u64 {
    (clock(duty).due().unwrap() - NOW) / DAY
}

#[test]
fn hipaa_5_sixty_days_one_extension_of_thirty() {
    let mut clock = clock(Duty::Accounting);
    let due = clock.due().unwrap();
    assert_eq!(Alert::of(due, NOW + 49 * DAY), None);
    assert_eq!(Alert::of(due, NOW + 50 * DAY), Some(Alert::Due));
    assert_eq!(Alert::of(due, NOW + 60 * DAY + 1), Some(Alert::Overdue));
    assert_eq!(clock.extend(NOW + 61 * DAY), Err(ClockRefusal::Passed));
    clock.extend(NOW + 59 * DAY).unwrap();
    assert_eq!(clock.due(), Some(NOW + 90 * DAY));
    let again = clock.extend(NOW + 60 * DAY);
    assert_eq!(again, Err(ClockRefusal::ExtendedBefore));
}

#[test]
fn hipaa_7_access_is_owed_in_thirty_days_and_thirty_more_once() {
    assert_eq!(days(Duty::Access), 30);
    let mut access = clock(Duty::Access);
    access.extend(NOW + 30 * DAY).unwrap();
    assert_eq!(access.due(), Some(NOW + 60 * DAY));
    assert_eq!(days(Duty::Amendment), 60);
}

#[test]
fn part2_3_an_intermediarys_list_is_owed_in_thirty_days_without_extension() {
    assert_eq!(days(Duty::IntermediaryList), 30);
    let refused = clock(Duty::IntermediaryList).extend(NOW);
    assert_eq!(refused, Err(ClockRefusal::NoExtension));
}

#[test]
fn gdpr_3_a_month_is_one_of_the_calendar_and_two_more_follow() {
    for duty in [Duty::GdprAccess, Duty::GdprRectification] {
        assert_eq!(days(duty), 30, "June has 30 days");
        let mut clock = clock(duty);
        clock.extend(NOW + DAY).unwrap();
        assert_eq!(clock.due(), Some(NOW + (30 + 31 + 31) * DAY));
    }
    // 2026-01-31 leads to 2026-02-28.
    let january = Clock {
        received: 1_769_817_600_000,
        ..clock(Duty::GdprAccess)
    };
    assert_eq!(january.due(), Some(january.received + 28 * DAY));
}

#[test]
fn cures_2_a_reply_is_owed_by_the_end_of_the_tenth_business_day() {
    // From Monday the first of June; the 19th is after the tenth, which is the 15th.
    let reply = clock(Duty::InfeasibilityReply);
    assert_eq!(reply.due(), Some(NOW + 15 * DAY - 1));
    // Received on the 12th, the 19th of June is a holiday between: the 29th instead of the 26th.
    let later = Clock {
        received: NOW + 11 * DAY,
        ..reply
    };
    assert_eq!(later.due(), Some(NOW + 29 * DAY - 1));
    let refused = clock(Duty::InfeasibilityReply).extend(NOW);
    assert_eq!(refused, Err(ClockRefusal::NoExtension));
}

#[test]
fn a_review_follows_the_members_own_rule() {
    assert_eq!(clock(Duty::EmergencyReview).due(), None);
    let refused = clock(Duty::EmergencyReview).extend(NOW);
    assert_eq!(refused, Err(ClockRefusal::NoExtension));
}

#[test]
fn codes_and_reports_lead_back_to_their_duty() {
    for duty in Duty::ALL {
        assert_eq!(Duty::of_coding(duty.system(), duty.code()), Some(duty));
        assert_eq!(Duty::of_coding("urn:other", duty.code()), None);
        let report = duty.report();
        assert!(report.is_none_or(|regime| Duty::of_report(regime) == duty));
    }
}

#[test]
fn cures_1_a_denial_names_its_exception_its_facts_and_its_reviewer() {
    let denied = |exception, facts, reviewer| {
        Denial::of(Duty::InfeasibilityReply, exception, facts, reviewer)
    };
    let (code, facts, who) = (
        Some("171.204"),
        Some("no copy exists"),
        Some("Practitioner/9"),
    );
    let denial = denied(code, facts, who).unwrap();
    assert_eq!(denial.reviewer, "Practitioner/9");
    let refusals = [
        (None, facts, who, DenialRefusal::NoException),
        (Some("because"), facts, who, DenialRefusal::NoException),
        (Some("171.203"), facts, who, DenialRefusal::NotInfeasible),
        (code, Some(" "), who, DenialRefusal::NoFacts),
        (code, facts, None, DenialRefusal::NoReviewer),
    ];
    for (exception, facts, reviewer, refusal) in refusals {
        assert_eq!(denied(exception, facts, reviewer), Err(refusal));
    }
    let amendment = Denial::of(Duty::Amendment, code, facts, who);
    assert_eq!(amendment, Err(DenialRefusal::OtherProcedure));
    assert!(Denial::of(Duty::Access, Some("171.203"), facts, who).is_ok());
}
