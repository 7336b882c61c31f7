//! The language of `_filter`: <https://hl7.org/fhir/R4/search_filter.html>.

use super::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_TERMS_MAX};
use super::problem::QueryProblem;

/// A filter as it was written.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Compare(Comparison),
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
}

/// A parameter, perhaps at the end of a chain, an operator and a value.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) path: String,
    pub(super) operator: Operator,
    pub(super) value: String,
}

/// How a parameter is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Lt,
    Ge,
    Le,
    Ap,
    Sa,
    Eb,
    Pr,
    Po,
    Ss,
    Sb,
    In,
    Ni,
    Re,
}

impl Operator {
    const ALL: [(&'static str, Self); 19] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("co", Self::Co),
        ("sw", Self::Sw),
        ("ew", Self::Ew),
        ("gt", Self::Gt),
        ("lt", Self::Lt),
        ("ge", Self::Ge),
        ("le", Self::Le),
        ("ap", Self::Ap),
        ("sa", Self::Sa),
        ("eb", Self::Eb),
        ("pr", Self::Pr),
        ("po", Self::Po),
        ("ss", Self::Ss),
        ("sb", Self::Sb),
        ("in", Self::In),
        ("ni", Self::Ni),
        ("re", Self::Re),
    ];

    fn with_code(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(code, _)| *code == word);
        found.map(|(_, operator)| *operator)
    }

    pub(super) fn code(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, operator)| *operator == self);
        found.map_or("", |(code, _)| code)
    }
}

impl Expression {
    pub(super) fn parse(text: &str) -> Result<Self, QueryProblem> {
        let mut reader = Reader {
            rest: text,
            terms: 0,
        };
        let expression = reader.expression(0)?;
        reader.skip_blanks();
        if reader.rest.is_empty() {
            Ok(expression)
        } else {
            Err(QueryProblem::ValueMalformed)
        }
    }

    /// All comparisons in it.
    pub(super) fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Self::Compare(comparison) => vec![comparison],
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().flat_map(Self::comparisons).collect()
            }
            Self::Not(inner) => inner.comparisons(),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    terms: usize,
}

impl Reader<'_> {
    /// Terms with `and` and `or` between them, which R4 takes from left to right, neither before the other.
    fn expression(&mut self, depth: usize) -> Result<Expression, QueryProblem> {
        let mut left = self.term(depth)?;
        loop {
            if self.takes_word("and") {
                let right = self.term(depth)?;
                left = match left {
                    Expression::All(mut parts) => {
                        parts.push(right);
                        Expression::All(parts)
                    }
                    other => Expression::All(vec![other, right]),
                };
            } else if self.takes_word("or") {
                let right = self.term(depth)?;
                left = match left {
                    Expression::Any(mut parts) => {
                        parts.push(right);
                        Expression::Any(parts)
                    }
                    other => Expression::Any(vec![other, right]),
                };
            } else {
                return Ok(left);
            }
        }
    }

    fn term(&mut self, depth: usize) -> Result<Expression, QueryProblem> {
        self.terms += 1;
        if depth >= EXPRESSION_DEPTH_MAX || self.terms > EXPRESSION_TERMS_MAX {
            return Err(QueryProblem::ExpressionTooLarge);
        }
        if self.takes_word("not") {
            return Ok(Expression::Not(Box::new(self.group(depth)?)));
        }
        self.skip_blanks();
        if self.rest.starts_with('(') {
            return self.group(depth);
        }
        self.comparison().map(Expression::Compare)
    }

    fn group(&mut self, depth: usize) -> Result<Expression, QueryProblem> {
        self.skip_blanks();
        let inner = self.rest.strip_prefix('(');
        self.rest = inner.ok_or(QueryProblem::ValueMalformed)?;
        let expression = self.expression(depth + 1)?;
        self.skip_blanks();
        let after = self.rest.strip_prefix(')');
        self.rest = after.ok_or(QueryProblem::ValueMalformed)?;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Comparison, QueryProblem> {
        let path = self.word(|letter| letter.is_ascii_alphanumeric() || "-_.:".contains(letter));
        if self.rest.starts_with('[') {
            // Conditions on one item of several: index terms do not say which belong together.
            return Err(QueryProblem::ValueUnsupported);
        }
        let operator = self.word(|letter| letter.is_ascii_alphabetic());
        let operator = Operator::with_code(&operator).ok_or(QueryProblem::ValueMalformed)?;
        let value = self.value()?;
        if path.is_empty() || value.is_empty() {
            return Err(QueryProblem::ValueMalformed);
        }
        Ok(Comparison {
            path,
            operator,
            value,
        })
    }

    /// A string in quotes as in JSON, or what stands up to a blank or a closing bracket.
    fn value(&mut self) -> Result<String, QueryProblem> {
        self.skip_blanks();
        if !self.rest.starts_with('"') {
            return Ok(self.word(|letter| !letter.is_whitespace() && !"()[]\"".contains(letter)));
        }
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let value = values.next().and_then(Result::ok);
        let rest = self.rest.get(values.byte_offset()..);
        let (value, rest) = value.zip(rest).ok_or(QueryProblem::ValueMalformed)?;
        self.rest = rest;
        Ok(value)
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> String {
        self.skip_blanks();
        let end = self.rest.find(|letter| !belongs(letter));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word.to_owned()
    }

    /// Takes a word of the language, if it is next and more is to come after it.
    fn takes_word(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let after = self.rest.strip_prefix(word);
        let after =
            after.filter(|rest| rest.starts_with(|next: char| next.is_whitespace() || next == '('));
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expression with all its brackets.
    fn shown(expression: &Expression) -> String {
        let all = |parts: &[Expression], word: &str| {
            let parts: Vec<String> = parts.iter().map(shown).collect();
            format!("({})", parts.join(word))
        };
        match expression {
            Expression::Compare(one) => {
                format!("{} {} <{}>", one.path, one.operator.code(), one.value)
            }
            Expression::All(parts) => all(parts, " & "),
            Expression::Any(parts) => all(parts, " | "),
            Expression::Not(inner) => format!("!{}", shown(inner)),
        }
    }

    #[test]
    fn expressions_are_read_from_left_to_right() {
        for (text, expected) in [
            ("given eq \"peter\"", "given eq <peter>"),
            (" given  eq peter ", "given eq <peter>"),
            (
                "a eq 1 and b eq 2 or c eq 3",
                "((a eq <1> & b eq <2>) | c eq <3>)",
            ),
            (
                "a eq 1 or b eq 2 and c eq 3",
                "((a eq <1> | b eq <2>) & c eq <3>)",
            ),
            (
                "a eq 1 and (b eq 2 or c eq 3)",
                "(a eq <1> & (b eq <2> | c eq <3>))",
            ),
            ("not(a eq 1)", "!a eq <1>"),
            (
                "not (a eq 1 or b pr true) and c lt 2",
                "(!(a eq <1> | b pr <true>) & c lt <2>)",
            ),
            (
                "code eq http://loinc.org|1-8",
                "code eq <http://loinc.org|1-8>",
            ),
            (
                "subject.name co \"a \\\"b\\\" )\"",
                "subject.name co <a \"b\" )>",
            ),
            ("notes eq and", "notes eq <and>"),
        ] {
            let parsed = Expression::parse(text);
            assert_eq!(
                parsed.as_ref().map(shown),
                Ok(expected.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in [
            "",
            "a",
            "a eq",
            "a is b",
            "a eq b c",
            "(a eq b",
            "a eq b)",
            "not a eq b",
            "a eq \"b",
            "and",
            "a eq b and",
        ] {
            assert!(
                Expression::parse(text) == Err(QueryProblem::ValueMalformed),
                "{text}"
            );
        }
        assert!(Expression::parse("a[b eq c].d eq e") == Err(QueryProblem::ValueUnsupported));
        let deep = format!("{}a eq b{}", "(".repeat(500), ")".repeat(500));
        let wide = vec!["a eq b"; EXPRESSION_TERMS_MAX + 1].join(" or ");
        for large in [deep, wide] {
            assert!(Expression::parse(&large) == Err(QueryProblem::ExpressionTooLarge));
        }
    }
}
