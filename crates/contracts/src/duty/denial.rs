//! What a denied request keeps on record (CURES-1): the exception, the facts, and who reviewed it.

use super::{Duty, Procedure};
use crate::blocking::Exception;

/// Why a request is not fulfilled.
#[derive(Clone, PartialEq, Eq)]
pub struct Denial {
    /// The exception of 45 CFR part 171 that it rests on.
    pub exception: Exception,
    /// The facts, in words for the patient.
    pub facts: String,
    /// Who reviewed it: the practitioner's reference.
    pub reviewer: String,
}

impl std::fmt::Debug for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Denial({})", self.exception.code())
    }
}

/// Why a denial does not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DenialRefusal {
    /// It is done by another procedure.
    #[error("this request is decided by an operation of its own")]
    OtherProcedure,
    /// It cites none (D4).
    #[error("a denial cites an exception of 45 CFR part 171")]
    NoException,
    /// A reply on infeasibility that rests on something else.
    #[error("a reply on infeasibility rests on 171.204")]
    NotInfeasible,
    /// It states none (D4).
    #[error("a denial states its facts")]
    NoFacts,
    /// It names nobody (D4).
    #[error("a denial names its reviewer")]
    NoReviewer,
}

impl Denial {
    /// The denial of a request, if it has all that it needs.
    pub fn of(
        duty: Duty,
        exception: Option<&str>,
        facts: Option<&str>,
        reviewer: Option<&str>,
    ) -> Result<Self, DenialRefusal> {
        if duty.procedure() != Procedure::Request {
            return Err(DenialRefusal::OtherProcedure);
        }
        let exception = exception.and_then(Exception::parse);
        let exception = exception.ok_or(DenialRefusal::NoException)?;
        if duty == Duty::InfeasibilityReply && exception != Exception::Infeasibility {
            return Err(DenialRefusal::NotInfeasible);
        }
        let said = |text: Option<&str>| {
            let text = text.map(str::trim).filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        Ok(Self {
            exception,
            facts: said(facts).ok_or(DenialRefusal::NoFacts)?,
            reviewer: said(reviewer).ok_or(DenialRefusal::NoReviewer)?,
        })
    }
}
