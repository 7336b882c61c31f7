//! Rotation: a stream ends under one key and goes on under the next.
//!
//! ```text
//! former stream    1   2   …   n-1   n        the item at n has the stream's closing tag (position 0) beside its own,
//!                                    │        and commits to its successor's first tag
//!                                    ▼
//! successor                          1   2   …    (the stream of a document goes on with the same number)
//! ```
//!
//! # Invariants
//! - **R1** A stream has one closing item: its second tag is used once (A1).
//! - **R2** A closing item has one successor: it commits to the first tag, under a salt that the successor's key yields.
//! - **R3** Whoever holds the former key alone sees that the stream is closed, and not where it goes on.
//! - **R4** What stands behind a closing item under the former key belongs to nothing.

use ledger::ids::{Digest, MemberName, NetworkId, Tag};
use ledger::item::{Item, Opening};
use ledger::stream::{Branch, KeyEpoch, Position, StreamKey};
use minicbor::{Decode, Encode};

use crate::descriptor::Descriptor;

/// What a closing item says.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct MovedDescriptor {
    /// The branch whose key was rotated.
    #[n(0)]
    pub branch: String,
    /// The number of the key under which the stream goes on.
    #[n(1)]
    pub epoch: KeyEpoch,
    /// The commitment to the first tag there.
    #[n(2)]
    pub successor: Digest,
}

/// The end of a stream, as everybody who holds both keys derives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Closing {
    /// The last item of the former stream.
    pub item: Item,
    /// What it commits to.
    pub descriptor: Vec<u8>,
    /// What opens the commitment.
    pub opening: Opening,
    /// What opens the commitment to the successor.
    pub step: Successor,
}

/// Where a closed stream goes on.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Successor {
    /// The salt of the commitment.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub salt: [u8; 32],
    /// The first tag.
    #[n(1)]
    pub tag: Tag,
}

/// Closes the stream `from` of `member` at a position, in favour of `to` and the first position there.
pub fn close(
    (network, member): (NetworkId, &MemberName),
    (branch, epoch): (&Branch, KeyEpoch),
    from: (&StreamKey, Position),
    to: (&StreamKey, Position),
) -> Closing {
    let step = Successor::of(to.0, to.1);
    let descriptor = Descriptor::Moved(MovedDescriptor {
        branch: branch.name(),
        epoch,
        successor: step.commitment(),
    });
    let opening = Opening(to.0.purpose("closing"));
    let tags = [from.0.tag(from.1), from.0.closing()];
    Closing {
        item: Item::commit(network, member, tags, &opening, descriptor.digest()),
        descriptor: descriptor.encode(),
        opening,
        step,
    }
}

impl Successor {
    /// The first position of a stream that follows another.
    pub fn of(stream: &StreamKey, first: Position) -> Self {
        Self {
            salt: stream.purpose("successor"),
            tag: stream.tag(first),
        }
    }

    /// What a closing item commits to.
    pub fn commitment(&self) -> Digest {
        Digest::with_domain("careledger/successor/v1", &[&self.salt, &self.tag.0])
    }
}

impl MovedDescriptor {
    /// Whether the stream goes on there.
    pub fn leads_to(&self, step: &Successor) -> bool {
        self.successor == step.commitment()
    }
}

impl std::fmt::Debug for MovedDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MovedDescriptor(..)")
    }
}

impl std::fmt::Debug for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closing(..)")
    }
}

impl std::fmt::Debug for Successor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Successor(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::stream::RootKey;

    fn closing(epoch: KeyEpoch, at: Position) -> Closing {
        let member: MemberName = "clinic".parse().unwrap();
        let (network, branch) = (
            NetworkId(Digest([1; 32])),
            Branch::Index("clinic".parse().unwrap()),
        );
        let root = RootKey::from_bytes([7; 32]);
        let stream = |epoch| root.branch(network, &branch, epoch).entries();
        let (from, to) = (stream(epoch), stream(epoch + 1));
        close(
            (network, &member),
            (&branch, epoch + 1),
            (&from, at),
            (&to, 1),
        )
    }

    #[test]
    fn r1_a_stream_has_one_closing_tag_wherever_it_ends() {
        let (one, other) = (closing(0, 5), closing(0, 6));
        assert_ne!(one.item.tags[0], other.item.tags[0]);
        assert_eq!(one.item.tags[1], other.item.tags[1]);
        assert_ne!(one.item.tags[1], closing(1, 5).item.tags[1]);
    }

    #[test]
    fn r2_a_closing_item_leads_to_one_successor() {
        let closing = closing(0, 5);
        let Ok(Descriptor::Moved(moved)) = Descriptor::decode(&closing.descriptor) else {
            panic!("a closing item says that the stream has moved");
        };
        assert!(moved.leads_to(&closing.step));
        let other_tag = Successor {
            tag: Tag([9; 16]),
            ..closing.step
        };
        let other_salt = Successor {
            salt: [9; 32],
            ..closing.step
        };
        assert!(!moved.leads_to(&other_tag) && !moved.leads_to(&other_salt));
        assert_eq!((moved.branch.as_str(), moved.epoch), ("index/clinic", 1));
    }

    #[test]
    fn r3_what_is_shown_to_holders_of_the_former_key_does_not_name_the_next_tag() {
        let closing = closing(0, 5);
        let shown = [closing.descriptor.as_slice(), &closing.item.to_bytes()].concat();
        let next = closing.step.tag.0;
        assert!(!shown.windows(next.len()).any(|bytes| bytes == next));
        let salt = closing.step.salt;
        assert!(!shown.windows(salt.len()).any(|bytes| bytes == salt));
    }
}
