//! Retention: how long records are kept at least, and when they go, as rules in a file.

use std::sync::PoisonError;

use contracts::erasure::Basis;
use interop::fhir::ResourceType;
use serde::{Deserialize, Serialize};

use super::begin::Doomed;
use super::{Erasure, ErasureOrder, ToErase};
use crate::custody::request::Requester;
use crate::custody::rows::{Head, type_of};
use crate::custody::store::Table;
use crate::custody::{Custody, CustodyError};

const DAY_MS: u64 = 86_400_000;

/// The rules; without any, nothing is kept by force and nothing goes by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RetentionSchedule {
    /// Each is heeded.
    #[serde(default)]
    pub rules: Vec<RetentionRule>,
}

/// How long records of some types are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RetentionRule {
    /// Such as `HIPAA 164.316(b)(2)`.
    pub name: String,
    /// Where the rule is law.
    #[serde(default)]
    pub jurisdiction: String,
    /// FHIR types; none for all.
    #[serde(default)]
    pub types: Vec<String>,
    /// Days after the last version within which nothing is erased.
    #[serde(default)]
    pub keep_days: u64,
    /// Days after the last version from which it is due to be erased.
    #[serde(default)]
    pub erase_after_days: Option<u64>,
    /// Legal bases that override `keep-days`.
    #[serde(default = "overriding")]
    pub overridden_by: Vec<String>,
}

fn overriding() -> Vec<String> {
    let all = [Basis::CourtOrder, Basis::FiledInError, Basis::WrongPatient];
    all.map(|basis| basis.code().to_owned()).to_vec()
}

impl RetentionSchedule {
    fn of<'a>(&'a self, resource_type: &'a str) -> impl Iterator<Item = &'a RetentionRule> {
        let is_of = move |rule: &&RetentionRule| {
            rule.types.is_empty() || rule.types.iter().any(|one| one == resource_type)
        };
        self.rules.iter().filter(is_of)
    }

    /// The rule that keeps a document the longest, and until when, if that is after `now`.
    fn keeps<'a>(
        &'a self,
        head: &'a Head,
        basis: Basis,
        now: u64,
    ) -> Option<(&'a RetentionRule, u64)> {
        let rules = self.of(&head.resource_type);
        let rules = rules.filter(|rule| !rule.overridden_by.iter().any(|one| one == basis.code()));
        let until = |rule: &RetentionRule| after(head.recorded_at, rule.keep_days);
        let kept = rules.map(|rule| (rule, until(rule)));
        kept.filter(|(_, until)| *until > now)
            .max_by_key(|(_, until)| *until)
    }

    /// Whether a rule says that a document is to go, and none that it is to stay.
    fn is_due(&self, head: &Head, now: u64) -> bool {
        let mut rules = self.of(&head.resource_type);
        let is_over = rules.any(|rule| {
            let days = rule.erase_after_days;
            days.is_some_and(|days| after(head.recorded_at, days) <= now)
        });
        is_over && self.keeps(head, Basis::RetentionExpired, now).is_none()
    }
}

fn after(recorded_at: u64, days: u64) -> u64 {
    recorded_at.saturating_add(days.saturating_mul(DAY_MS))
}

impl Custody {
    /// Keeps records by these rules from now on.
    pub fn keep_by(&self, schedule: RetentionSchedule) {
        let mut place = self.0.erasing.schedule.write();
        **place
            .as_mut()
            .unwrap_or_else(|poisoned: &mut PoisonError<_>| poisoned.get_mut()) = schedule;
    }

    /// Documents that the schedule says are to go and that nothing holds, `limit` at most.
    pub fn retention_due(&self, limit: usize) -> Result<Vec<(ResourceType, String)>, CustodyError> {
        let (schedule, now) = (self.0.erasing.schedule(), (self.0.options.clock)());
        if schedule
            .rules
            .iter()
            .all(|rule| rule.erase_after_days.is_none())
        {
            return Ok(Vec::new());
        }
        let mut due = Vec::new();
        for row in self.0.store.scan(Table::Heads, &[]) {
            let (key, row) = row?;
            let head: Head = self.0.home.keys.open_row(Table::Heads, &key, &row)?;
            if due.len() == limit {
                break;
            }
            if schedule.is_due(&head, now)
                && let Some(doomed) = self.erasable(head)?
                && self.check_holds(&doomed).is_ok()
            {
                due.push((type_of(&doomed.head.resource_type)?, doomed.head.id));
            }
        }
        Ok(due)
    }

    /// Erases documents because their time has run out, `limit` at most.
    pub async fn erase_expired(
        &self,
        by: &Requester,
        limit: usize,
        authority: &str,
    ) -> Result<Vec<Erasure>, CustodyError> {
        let order = ErasureOrder {
            what: ToErase::Expired(limit),
            basis: Basis::RetentionExpired,
            authority: authority.to_owned(),
            justification: "the retention schedule has run out".to_owned(),
            is_redaction: false,
        };
        self.erase(by, &order).await
    }

    /// Refuses what is to be kept yet.
    pub(super) fn check_retention(
        &self,
        doomed: &Doomed,
        basis: Basis,
    ) -> Result<(), CustodyError> {
        let (schedule, now) = (self.0.erasing.schedule(), (self.0.options.clock)());
        if let Some((rule, until_ms)) = schedule.keeps(&doomed.head, basis, now) {
            return Err(CustodyError::Retained {
                rule: rule.name.clone(),
                until_ms,
                basis: basis.code(),
            });
        }
        if basis == Basis::RetentionExpired && !schedule.is_due(&doomed.head, now) {
            return Err(CustodyError::Retained {
                rule: "no rule says that it has run out".to_owned(),
                until_ms: u64::MAX,
                basis: basis.code(),
            });
        }
        Ok(())
    }
}
