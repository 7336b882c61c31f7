//! Decisions that are made again from their records.

use super::*;

struct Recorded {
    consents: Vec<Consent>,
    documents: Vec<Option<Document>>,
    record: DecisionRecord,
}

fn recorded() -> Recorded {
    let consents = vec![one("hospital/1"), deny_of_conditions()];
    let evaluator = Evaluator::new(&consents).unwrap();
    let lines = [
        "clinic TREAT Observation",
        "clinic TREAT Condition",
        "clinic TREAT Observation label=HIV",
    ];
    let asked = lines.map(ask);
    let decisions: Vec<Decision> = asked
        .iter()
        .map(|(request, document)| evaluator.decide(request, document))
        .collect();
    let outcomes: Vec<bool> = decisions
        .iter()
        .map(|decision| decision.permitted)
        .collect();
    assert_eq!(outcomes, [true, false, false]);
    let record = DecisionRecord::of(&evaluator, Height(7), &asked[0].0, &decisions);
    let documents = asked
        .into_iter()
        .map(|(_, document)| Some(document))
        .collect();
    Recorded {
        consents,
        documents,
        record,
    }
}

#[test]
fn p5_a_recorded_decision_replays_to_the_same_outcome() {
    let Recorded {
        mut consents,
        mut documents,
        record,
    } = recorded();
    let record = DecisionRecord::decode(&record.encode()).unwrap();
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::Same)
    );
    consents.reverse();
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::Same),
        "order says nothing"
    );
    documents[1] = None;
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::Erased(vec![1]))
    );
    let mut changed = record;
    changed.rulings[1].permitted = true;
    changed.rulings[2].permitted = true;
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![2])),
        "what is erased does not diverge, and hides nothing"
    );
}

#[test]
fn p5_another_outcome_or_another_reason_diverges_and_is_named() {
    let Recorded {
        consents,
        documents,
        record,
    } = recorded();
    let mut changed = record.clone();
    changed.rulings[1].permitted = true;
    changed.rulings[2].determining = vec!["consent/hospital/1/1".to_owned()];
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![1, 2]))
    );
    let mut changed = record.clone();
    changed.request.purpose = "HMARKT".to_owned();
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![0]))
    );
    let mut changed = record.clone();
    changed.request.consents_known = false;
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::Diverged(vec![0, 1, 2]))
    );
    let mut labelled = documents;
    labelled[0]
        .as_mut()
        .unwrap()
        .labels
        .insert("HIV".to_owned());
    assert_eq!(
        replay(&record, None, &consents, &labelled),
        Ok(Replay::Diverged(vec![0]))
    );
}

#[test]
fn p5_other_rules_consents_or_documents_are_told_apart_from_divergence() {
    let Recorded {
        mut consents,
        documents,
        record,
    } = recorded();
    let mut changed = record.clone();
    changed.rules = Digest([0; 32]);
    assert_eq!(
        replay(&changed, None, &consents, &documents),
        Ok(Replay::OtherInputs)
    );
    assert_eq!(
        replay(&record, None, &consents, &documents[..2]),
        Ok(Replay::OtherInputs)
    );
    assert_eq!(
        replay(&record, None, &consents[..1], &documents),
        Ok(Replay::OtherInputs)
    );
    consents[0].version = 2;
    assert_eq!(
        replay(&record, None, &consents, &documents),
        Ok(Replay::OtherInputs)
    );
}

#[test]
fn a_request_stands_in_the_record_as_it_was_asked() {
    let record = recorded().record;
    let (asked, _) = ask("clinic TREAT Observation");
    assert_eq!(record.height, Height(7));
    assert_eq!(record.request.now, asked.now);
    assert_eq!(
        (record.request.member, record.request.purpose),
        (asked.member, asked.purpose)
    );
    let mut bytes = recorded().record.encode();
    bytes.push(0);
    assert!(DecisionRecord::decode(&bytes).is_err());
}
