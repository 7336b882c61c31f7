//! Who takes part in consensus in an epoch, as the registry says.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use contracts::membership::{Registry, Seat, Standing};
use ledger::ids::{Epoch, MemberName};

use super::Chain;
use crate::engine::{Committee, Validator};

/// In place of an address that nobody has named: such a validator can dial, and is not dialled.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Keys of each member, the newest, with which its node may connect: one that was away while they changed comes back
/// with those of before.
pub(crate) const KEYS_HEARD: usize = 2;

impl Chain {
    /// Validators and followers of `epoch`; `None` until the block before it is applied.
    ///
    /// `addresses` count for members that have not announced theirs on the ledger.
    pub(super) fn committee(
        &self,
        epoch: Epoch,
        addresses: &BTreeMap<MemberName, SocketAddr>,
    ) -> Option<Committee> {
        let applied = self.0.applied().clone();
        let registry = &applied.registry;
        let decided = registry.rules().epoch_of(applied.tip.height.next());
        if epoch > decided {
            return None;
        }
        let address = |seat: &Seat| {
            let said = seat.endpoints.as_ref();
            let said = said.and_then(|endpoints| endpoints.consensus.parse().ok());
            said.or_else(|| addresses.get(&seat.name).copied())
                .unwrap_or(NOWHERE)
        };
        let validators = validators(registry, epoch, &address);
        let followers = followers(registry, &validators, &address);
        Some(Committee {
            validators,
            followers,
        })
    }
}

fn validators(
    registry: &Registry,
    epoch: Epoch,
    address: &impl Fn(&Seat) -> SocketAddr,
) -> Vec<Validator> {
    let keys = registry.validators(epoch).keys.iter();
    let validator = |key: &ledger::genesis::PublicKey| {
        let seat = registry.validator_keys(*key);
        let seat = seat.and_then(|(member, _)| registry.seat(member));
        Validator {
            public_key: key.0,
            address: seat.map_or(NOWHERE, address),
        }
    };
    keys.map(validator).collect()
}

/// The other members that are heard, by the keys of their connections.
fn followers(
    registry: &Registry,
    validators: &[Validator],
    address: &impl Fn(&Seat) -> SocketAddr,
) -> Vec<Validator> {
    let seats = registry.seats().iter();
    let heard = seats.filter(|seat| seat.standing == Standing::Active);
    let mut followers: Vec<Validator> = heard
        .flat_map(|seat| {
            let keys = seat.validators.iter().rev().take(KEYS_HEARD);
            keys.map(|keys| Validator {
                public_key: keys.vote.0,
                address: address(seat),
            })
        })
        .filter(|one| {
            let votes = |validator: &Validator| validator.public_key == one.public_key;
            !validators.iter().any(votes)
        })
        .collect();
    followers.sort_unstable_by_key(|follower| follower.public_key);
    followers
}
