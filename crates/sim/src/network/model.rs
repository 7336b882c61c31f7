//! The ledger's two rules as one would write them on paper, to compare the real ones with.

use std::collections::BTreeMap;

use ledger::ids::{Digest, MemberName, Tag};
use ledger::statement::SubmittedStatement;

/// Who used which tag, and with which statement: nobody uses one twice.
#[derive(Debug, Default)]
pub struct Tags(BTreeMap<(MemberName, Tag), Digest>);

/// A tag that its member used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedTwice {
    /// The member.
    pub member: MemberName,
    /// The tag.
    pub tag: Tag,
}

impl Tags {
    /// Takes a final statement; names the first tag that it must not have used.
    pub fn record(&mut self, statement: &SubmittedStatement) -> Result<(), UsedTwice> {
        let digest = statement.digest();
        for tag in statement.items().iter().flat_map(|item| item.tags) {
            let member = statement.member().clone();
            if self.0.insert((member.clone(), tag), digest).is_some() {
                return Err(UsedTwice { member, tag });
            }
        }
        Ok(())
    }

    /// The statement with which `member` used `tag`.
    pub fn user(&self, member: &MemberName, tag: Tag) -> Option<Digest> {
        self.0.get(&(member.clone(), tag)).copied()
    }
}

/// The root of a log of `entries`, by the definition of RFC 9162 §2.1.1 and nothing else.
pub fn log_root<E: AsRef<[u8]>>(entries: &[E]) -> Digest {
    match entries {
        [] => Digest::of(b""),
        [entry] => Digest::of(&[&[0], entry.as_ref()].concat()),
        _ => {
            let mut left = 1;
            while left * 2 < entries.len() {
                left *= 2;
            }
            let (left, right) = entries.split_at(left);
            let (left, right) = (log_root(left), log_root(right));
            Digest::of(&[[1].as_slice(), &left.0, &right.0].concat())
        }
    }
}
