//! The operators of `_filter`: what they ask of a parameter.

use super::expression::Operator;
use super::filter::Condition;
use super::parameter::{ParameterKind, SearchParameter};
use super::problem::QueryProblem;
use super::text::fold;
use super::value_sets::ValueSets;
use super::wanted::Wanted;
use super::{value, words_wanted};

/// Reads what stands behind an operator. What index terms cannot say is refused.
pub(super) fn condition(
    parameter: &SearchParameter,
    (operator, text): (Operator, &str),
    value_sets: &dyn ValueSets,
) -> Result<Condition, QueryProblem> {
    if operator == Operator::Pr {
        let is_present: bool = text.parse().map_err(|_| QueryProblem::ValueMalformed)?;
        return Ok(Condition::Missing(!is_present));
    }
    if parameter.is_of_words() {
        return match operator {
            Operator::Co => words_wanted::read(parameter, text),
            _ => Err(QueryProblem::OperatorUnsupported),
        };
    }
    let modified = |modifier| value::read(parameter, Some(modifier), text, value_sets);
    let wanted = match (parameter.kind, operator) {
        (ParameterKind::String, _) => vec![string(operator, fold(text))?],
        (ParameterKind::Date | ParameterKind::Number | ParameterKind::Quantity, _) => {
            let prefix = prefix(parameter.kind, operator)?;
            let text = format!("{prefix}{text}");
            value::read(parameter, None, &text, value_sets)?
        }
        (ParameterKind::Token, Operator::In) => modified("in")?,
        (ParameterKind::Token, Operator::Ni) => vec![Wanted::Other(modified("in")?)],
        // The value subsumes what is found, or is subsumed by it.
        (ParameterKind::Token, Operator::Ss) => modified("below")?,
        (ParameterKind::Token, Operator::Sb) => modified("above")?,
        (ParameterKind::Reference, Operator::Re)
        | (ParameterKind::Token | ParameterKind::Reference | ParameterKind::Uri, Operator::Eq) => {
            value::read(parameter, None, text, value_sets)?
        }
        (ParameterKind::Token | ParameterKind::Reference | ParameterKind::Uri, Operator::Ne) => {
            vec![Wanted::Other(value::read(
                parameter, None, text, value_sets,
            )?)]
        }
        _ => return Err(QueryProblem::OperatorUnsupported),
    };
    Ok(Condition::AnyOf(wanted))
}

fn string(operator: Operator, text: String) -> Result<Wanted, QueryProblem> {
    match operator {
        Operator::Eq => Ok(Wanted::Same(text)),
        Operator::Ne => Ok(Wanted::Other(vec![Wanted::Same(text)])),
        Operator::Co => Ok(Wanted::Contains(text)),
        Operator::Sw => Ok(Wanted::StartsWith(text)),
        Operator::Ew => Ok(Wanted::EndsWith(text)),
        _ => Err(QueryProblem::OperatorUnsupported),
    }
}

/// The prefix of other queries that asks the same.
fn prefix(kind: ParameterKind, operator: Operator) -> Result<&'static str, QueryProblem> {
    match operator {
        Operator::Po if kind == ParameterKind::Date => Ok("ap"),
        Operator::Eq
        | Operator::Ne
        | Operator::Gt
        | Operator::Lt
        | Operator::Ge
        | Operator::Le
        | Operator::Ap
        | Operator::Sa
        | Operator::Eb => Ok(operator.code()),
        _ => Err(QueryProblem::OperatorUnsupported),
    }
}
