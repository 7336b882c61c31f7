use super::super::life::{
    Event, State, check_follows, event, renewed, resumed, suspended, withdrawn,
};
use super::super::{Rejection, explain};
use super::*;

fn in_state(state: &str) -> Value {
    let mut given = consent(&permit(json!({ "purpose": codes(&["TREAT"]) })));
    match state {
        "suspended" => suspended(given),
        "withdrawn" => withdrawn(given),
        status => {
            given["status"] = json!(status);
            given
        }
    }
}

#[test]
fn a_consent_goes_through_its_life_in_order() {
    let states = [
        "draft",
        "proposed",
        "active",
        "suspended",
        "withdrawn",
        "rejected",
        "entered-in-error",
    ];
    let table = "
        draft            => draft proposed active rejected entered-in-error
        proposed         => draft proposed active rejected entered-in-error
        active           => active suspended withdrawn entered-in-error
        suspended        => active suspended withdrawn entered-in-error
        withdrawn        => withdrawn entered-in-error
        rejected         => rejected entered-in-error
        entered-in-error => entered-in-error
    ";
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let (before, after) = line.split_once("=>").unwrap();
        let may: Vec<&str> = after.split_whitespace().collect();
        for next in states {
            let follows = check_follows(&in_state(before.trim()), &in_state(next));
            let expected = if may.contains(&next) {
                Ok(())
            } else {
                Err(Rejection::DoesNotFollow("Consent.status".to_owned()))
            };
            assert_eq!(follows, expected, "{before} to {next}");
        }
    }
    let mut other = in_state("active");
    other["patient"] = json!({ "reference": "Patient/q" });
    let moved = check_follows(&in_state("active"), &other);
    assert_eq!(
        moved,
        Err(Rejection::DoesNotFollow("Consent.patient".to_owned()))
    );
}

#[test]
fn what_is_suspended_opens_nothing_until_it_is_resumed() {
    let given = in_state("active");
    let opens = |value: &Value, outcome: &str| {
        let line = format!("clinic TREAT Observation => {outcome}");
        check_consents(&[read("a", value).unwrap()], &line);
    };
    opens(&given, "permit");
    opens(&suspended(given.clone()), "deny");
    assert_eq!(resumed(suspended(given.clone())), given);
    opens(&resumed(suspended(given)), "permit");
}

#[test]
fn a_renewal_moves_the_end_and_nothing_else() {
    let ends = json!({ "period": { "start": "2026-06-01", "end": "2026-06-10" } });
    let given = consent(&permit(ends));
    let later = renewed(given.clone(), "2026-07-10").unwrap();
    let on = |value: &Value, outcome: &str| {
        let line = format!("clinic TREAT Observation @2026-07-01 => {outcome}");
        check_consents(&[read("a", value).unwrap()], &line);
    };
    on(&given, "deny");
    on(&later, "permit");
    assert_eq!(event(Some(&given), &later), Ok(Event::Renewed));
    let mut wider = later.clone();
    wider["provision"]["purpose"] = codes(&["TREAT"]);
    assert_eq!(event(Some(&given), &wider), Ok(Event::Amended));
    assert_eq!(event(None, &given), Ok(Event::Given));
    assert_eq!(
        event(Some(&given), &suspended(given.clone())),
        Ok(Event::Suspended)
    );
    assert_eq!(
        event(Some(&suspended(given.clone())), &given),
        Ok(Event::Resumed)
    );
    assert_eq!(
        event(Some(&given), &withdrawn(given.clone())),
        Ok(Event::Withdrawn)
    );
}

#[test]
fn only_the_reason_of_a_status_is_read_among_extensions() {
    let refused = |change: fn(&mut Value)| {
        let mut value = in_state("suspended");
        change(&mut value);
        read("a", &value).unwrap_err()
    };
    let extension = Rejection::CannotEnforce("Consent.extension".to_owned());
    assert_eq!(refused(|one| one["status"] = json!("active")), extension);
    assert_eq!(
        refused(|one| one["extension"][0]["url"] = json!("urn:x")),
        extension
    );
    assert_eq!(
        refused(|one| one["extension"][0]["valueCode"] = json!("tired")),
        extension
    );
    assert_eq!(
        State::of(&json!({ "status": "inactive" })),
        Ok(State::Withdrawn)
    );
}

#[test]
fn a_consent_is_explained_rule_by_rule() {
    let rules = json!({
        "type": "permit",
        "period": { "start": "2026-06-01", "end": "2026-06-30" },
        "actor": [member("clinic")],
        "purpose": codes(&["TREAT", "HPAYMT"]),
        "class": types(&["Observation", "Condition"]),
        "provision": [{ "type": "deny", "securityLabel": codes(&["PSY"]), "actor": [practitioner("7")] }],
    });
    let consent = read("clinic/a", &consent(&rules)).unwrap();
    let said = explain::sentences(&consent, State::Active);
    assert_eq!(
        said[1],
        "clinic may see test results and measurements or diagnoses to treat you or to pay for your care from 2026-06-01 until 2026-06-30."
    );
    assert_eq!(
        said[2],
        "But Practitioner/7, of clinic may not see test results and measurements or diagnoses about mental health to \
         treat you or to pay for your care from 2026-06-01 until 2026-06-30."
    );
    assert!(explain::sentences(&consent, State::Suspended)[0].contains("suspended"));
}
