//! Queries that are refused: the parameter is named, no value is repeated.

use super::*;

fn refuses(table: &[(&str, &str, QueryProblem)]) {
    for (text, parameter, problem) in table {
        let error = query("Observation", text).unwrap_err();
        assert_eq!(
            (error.parameter.as_str(), error.problem),
            (*parameter, *problem),
            "{text}"
        );
        assert!(
            !error.outcome().to_value().to_string().contains("MARK"),
            "{text}"
        );
    }
}

#[test]
fn wrong_names_are_named_and_values_are_not() {
    refuses(&[
        ("secret=1", "secret", QueryProblem::ParameterUnknown),
        ("Jane Roe=1", "*", QueryProblem::ParameterUnknown),
        (
            "code:exact=MARKER",
            "code:exact",
            QueryProblem::ModifierUnknown,
        ),
        ("_text=(MARKER", "_text", QueryProblem::ValueMalformed),
        ("_filter=MARKER", "_filter", QueryProblem::ValueMalformed),
        (
            "_contained=true",
            "_contained",
            QueryProblem::ParameterUnsupported,
        ),
        (
            "code:in=http://MARKER",
            "code:in",
            QueryProblem::ValueSetUnknown,
        ),
        (
            "code:below=http://a|MARK",
            "code:below",
            QueryProblem::HierarchyUnknown,
        ),
        (
            "subject:Claim=1",
            "subject:Claim",
            QueryProblem::TargetImpossible,
        ),
        ("code.name=MARKER", "code.name", QueryProblem::ChainBroken),
        (
            "subject.secret=MARKER",
            "subject.secret",
            QueryProblem::ChainBroken,
        ),
        (
            "_has:Observation:secret:code=1",
            "_has:Observation:secret:code",
            QueryProblem::ChainBroken,
        ),
    ]);
}

#[test]
fn wrong_values_are_not_repeated() {
    refuses(&[
        (
            "_include=Observation:secret",
            "_include",
            QueryProblem::ValueUnsupported,
        ),
        ("_include=MARKER", "_include", QueryProblem::ValueMalformed),
        (
            "value-quantity=MARK",
            "value-quantity",
            QueryProblem::ValueMalformed,
        ),
        (
            "code-value-quantity=x",
            "code-value-quantity",
            QueryProblem::ValueMalformed,
        ),
        (
            "subject.link.link.link.link.link.name=MARK",
            "subject.link.link.link.link.link.name",
            QueryProblem::ChainTooLong,
        ),
        (
            "date:exact=2020",
            "date:exact",
            QueryProblem::ModifierUnknown,
        ),
        (
            "subject:Nobody=1",
            "subject:Nobody",
            QueryProblem::ModifierUnknown,
        ),
        ("code=", "code", QueryProblem::ValueMissing),
        ("code=a,,b", "code", QueryProblem::ValueMissing),
        ("code=|", "code", QueryProblem::ValueMissing),
        ("code=a|b|c", "code", QueryProblem::ValueMalformed),
        ("date=MARKER", "date", QueryProblem::ValueMalformed),
        ("date=ge", "date", QueryProblem::ValueMalformed),
        ("patient=MARK ER", "patient", QueryProblem::ValueMalformed),
        (
            "code:missing=MARKER",
            "code:missing",
            QueryProblem::ValueMalformed,
        ),
        ("_count=-1", "_count", QueryProblem::ValueMalformed),
        ("_sort=MARKER", "_sort", QueryProblem::ValueUnsupported),
        (
            "_sort=code-value-date",
            "_sort",
            QueryProblem::ValueUnsupported,
        ),
        (
            "_sort=_id,_id,_id,_id,_id,_id,_id,_id,_id",
            "_sort",
            QueryProblem::TooManySortKeys,
        ),
        ("_summary=MARK", "_summary", QueryProblem::ValueMalformed),
        ("_elements=a b", "_elements", QueryProblem::ValueMalformed),
    ]);
}

#[test]
fn what_a_query_costs_is_bounded() {
    let many = |count: usize| vec!["a"; count].join(",");
    let ids = |count: usize| [("_id".to_owned(), many(count))];
    let read = |scope: &Scope, pairs: &[(String, String)]| {
        let read = Query::read(scope, pairs, Handling::Strict, &NoValueSets);
        read.err().map(|error| error.problem)
    };
    let one = Scope::Type(ResourceType::PATIENT);
    assert_eq!(read(&one, &ids(limits::VALUES_MAX)), None);
    let too_many = Some(QueryProblem::TooManyValues);
    assert_eq!(read(&one, &ids(limits::VALUES_MAX + 1)), too_many);
    // Of all types, each value counts 146 times.
    assert_eq!(read(&Scope::System, &ids(100)), None);
    assert_eq!(read(&Scope::System, &ids(400)), too_many);
    let filters = vec![("_id".to_owned(), "a".to_owned()); limits::PARAMETERS_MAX + 1];
    assert_eq!(read(&one, &filters), Some(QueryProblem::TooManyParameters));
    let includes = vec![("_include".to_owned(), "*".to_owned()); limits::INCLUDES_MAX + 1];
    assert_eq!(read(&one, &includes), Some(QueryProblem::TooManyIncludes));
    let long = [("_id".to_owned(), "a".repeat(limits::VALUE_BYTES_MAX + 1))];
    assert_eq!(read(&one, &long), Some(QueryProblem::ValueTooLong));
}
