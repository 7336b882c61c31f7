//! What members ask of the contract of governance in one run.

use std::collections::BTreeSet;

use super::draw::Draw;

/// Something that members see to, from some time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Motion {
    /// When it comes up.
    pub at_ms: u64,
    /// What it is.
    pub kind: MotionKind,
}

/// The kinds of [`Motion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MotionKind {
    /// A member says where its node is.
    Announce(usize),
    /// Members disagree about the rules.
    Dispute,
    /// A validator takes another key at the end of an epoch.
    Rotation(usize),
    /// A validator leaves at the end of an epoch.
    Departure {
        /// Its member.
        member: usize,
        /// Whether the member is suspended, and reinstated once it is.
        is_suspended: bool,
        /// Whether it validates again later, with another key.
        returns: bool,
    },
}

/// Motions of a network of `validators`, of which some are `faulty` for good, and some `slow`: their clocks are far
/// off.
///
/// Whoever leaves, the others do not wait for more than they can do without.
pub(super) fn motions(
    draw: &mut Draw,
    validators: usize,
    (faulty, slow): (&BTreeSet<usize>, &BTreeSet<usize>),
    until_ms: u64,
) -> Vec<Motion> {
    let mut kinds = Vec::new();
    for _ in 0..draw.between(0, 3) {
        kinds.push(MotionKind::Announce(draw.index(validators)));
    }
    if draw.happens(30) {
        kinds.push(MotionKind::Dispute);
    }
    let member = draw.index(validators);
    let is_faulty = faulty.contains(&member);
    let left = faulty.union(slow).filter(|at| **at != member).count();
    if draw.happens(25) && !is_faulty {
        kinds.push(MotionKind::Rotation(member));
    } else if draw.happens(80) && left <= (validators - 2) / 3 {
        kinds.push(MotionKind::Departure {
            member,
            is_suspended: draw.happens(40),
            returns: !is_faulty,
        });
    }
    let mut motions: Vec<Motion> = kinds
        .into_iter()
        .map(|kind| Motion {
            at_ms: draw.between(0, until_ms),
            kind,
        })
        .collect();
    motions.sort_by_key(|motion| motion.at_ms);
    motions
}
