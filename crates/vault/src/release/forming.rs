//! Forming a committee: its members make a key together that none of them ever has, or pass the key of the committee
//! before them on.
//!
//! Each dealer offers each player a number and shows a commitment to all of them. A player acknowledges an offer that
//! fits. The dealer's log holds the commitment and every player's acknowledgement, and is signed: the logs of k dealers
//! that all players have acknowledged make the key, and everybody who has the same logs in the same order makes the
//! same one. A log that reveals an offer instead of showing its acknowledgement is not used, so that no share of a
//! committee in force was ever seen by others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use commonware_cryptography::Signer as _;
use commonware_cryptography::bls12381::dkg::feldman_desmedt::{
    Dealer, DealerLog, DealerLogSummary, DealerPrivMsg, DealerPubMsg, Failure, Info, Logs, Player,
    PlayerAck, Reveal, SignedDealerLog, observe,
};
use commonware_cryptography::bls12381::primitives::sharing::Mode;
use commonware_cryptography::bls12381::primitives::variant::MinPk;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_parallel::Sequential;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::committee::{Committee, KeyShare, bytes_of, key_of, set_of};
use super::faults::{for_k, is_sound};
use super::{MEMBERS_MAX, ReleaseError, random};
use crate::entropy;

const NAMESPACE: &[u8] = b"careledger/release-round/v1";

/// The key with which a member takes part in one round.
#[derive(Clone)]
pub struct MemberKey {
    seed: Zeroizing<[u8; 32]>,
    key: PrivateKey,
}

/// What a dealer offers to one player; the second part is for that player alone.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Offer {
    /// The commitment, which all players see.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub public: Vec<u8>,
    /// The player's number.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub private: Vec<u8>,
}

/// Who deals to whom.
#[derive(Clone)]
pub struct Round {
    k: u32,
    info: Info<MinPk, PublicKey>,
}

/// One dealer's side.
pub struct Dealing {
    k: u32,
    players: usize,
    acknowledged: BTreeSet<[u8; 32]>,
    dealer: Dealer<MinPk, PrivateKey>,
}

/// One player's side.
pub struct Playing {
    round: Round,
    player: Player<MinPk, PrivateKey>,
}

impl MemberKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self::from_seed(entropy::random())
    }

    /// The key of a seed that was kept.
    #[expect(clippy::expect_used, reason = "every 32 bytes are the seed of a key")]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            key: PrivateKey::decode(Copying(&seed)).expect("a seed has 32 bytes"),
            seed: Zeroizing::new(seed),
        }
    }

    /// The seed, to be kept secret.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// What the others know it by.
    pub fn public(&self) -> [u8; 32] {
        bytes_of(&self.key.public_key())
    }
}

impl Round {
    /// The round `number` of the network `namespace`, in which `players` become a committee that takes `k` of them.
    /// With `previous`, its members among `dealers` pass its key on; else the dealers make a new one.
    pub fn new(
        namespace: &[u8],
        number: u64,
        k: u32,
        previous: Option<&Committee>,
        dealers: &[[u8; 32]],
        players: &[[u8; 32]],
    ) -> Result<Self, ReleaseError> {
        let (dealers, players) = (set_of(dealers)?, set_of(players)?);
        let keeps_k = previous.is_none_or(|previous| previous.k == k);
        if !keeps_k
            || !is_sound(k, players.len())
            || u32::try_from(dealers.len()).is_ok_and(|dealers| dealers < k)
        {
            return Err(ReleaseError::NoSuchCommittee);
        }
        if previous.is_none() && !is_sound(k, dealers.len()) {
            return Err(ReleaseError::NoSuchCommittee);
        }
        let namespace = [NAMESPACE, namespace].concat();
        let previous = previous.map(|previous| previous.output.clone());
        let info = for_k!(k, M => Info::new::<M>(
            &namespace,
            number,
            previous,
            Mode::NonZeroCounter,
            Reveal::V1,
            dealers,
            players,
        ));
        let info = info
            .and_then(Result::ok)
            .ok_or(ReleaseError::NoSuchCommittee)?;
        Ok(Self { k, info })
    }

    /// The logs that make the key: the first k in `logs` that are sound and that all players have acknowledged.
    /// Nothing if there are not as many yet. Whoever has the same logs in the same order chooses the same.
    pub fn chosen(&self, logs: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let mut dealers = BTreeSet::new();
        let mut chosen = Vec::new();
        for log in logs {
            if let Some(dealer) = self.dealer_of(log)
                && dealers.insert(dealer)
            {
                chosen.push(log.clone());
            }
            if u32::try_from(chosen.len()) == Ok(self.k) {
                return Some(chosen);
            }
        }
        None
    }

    /// Whose log it is, if it is sound and all players have acknowledged it.
    pub fn dealer_of(&self, log: &[u8]) -> Option<[u8; 32]> {
        let (dealer, log) = self.read(log)?;
        match log.summary() {
            DealerLogSummary::Ok { reveals, .. } if reveals.is_empty() => {}
            _ => return None,
        }
        let outcome = for_k!(self.k, M => {
            let mut alone = Logs::<MinPk, PublicKey, M>::new(self.info.clone());
            alone.record(dealer.clone(), log);
            observe(&mut random::fresh(), alone, &Sequential)
        });
        // It takes two dealers or more, so one log alone is never enough: the answer says whether it would count.
        match outcome? {
            Err(Failure::InsufficientLogs { found: 1, .. }) => Some(bytes_of(&dealer)),
            _ => None,
        }
    }

    fn read(&self, log: &[u8]) -> Option<(PublicKey, DealerLog<MinPk, PublicKey>)> {
        let log = SignedDealerLog::decode_cfg(Copying(log), &bound()?).ok()?;
        log.check(&self.info)
    }
}

impl Dealing {
    /// Begins to deal. The same seed deals the same again, which a dealer does after a restart; `share` is its own
    /// share of the key that is passed on, if one is.
    pub fn start(
        round: &Round,
        key: &MemberKey,
        seed: &[u8; 32],
        share: Option<&KeyShare>,
    ) -> Result<(Self, BTreeMap<[u8; 32], Offer>), ReleaseError> {
        let share = share.map(|share| share.0.clone());
        let has_share = share.is_some();
        let started = for_k!(round.k, M => Dealer::start::<M>(
            random::from_seed(seed),
            round.info.clone(),
            key.key.clone(),
            share,
        ));
        let failed = if has_share {
            ReleaseError::NotInRound
        } else {
            ReleaseError::NoShare
        };
        let (dealer, public, private) = started.and_then(Result::ok).ok_or(failed)?;
        let public = public.encode().to_vec();
        let offers: BTreeMap<_, _> = private
            .into_iter()
            .map(|(player, private)| {
                let offer = Offer {
                    public: public.clone(),
                    private: private.encode().to_vec(),
                };
                (bytes_of(&player), offer)
            })
            .collect();
        let dealing = Self {
            k: round.k,
            players: offers.len(),
            acknowledged: BTreeSet::new(),
            dealer,
        };
        Ok((dealing, offers))
    }

    /// Takes a player's acknowledgement.
    pub fn acknowledged(&mut self, player: [u8; 32], bytes: &[u8]) -> Result<(), ReleaseError> {
        let wrong = ReleaseError::WrongAcknowledgement;
        let acknowledgement = PlayerAck::decode(Copying(bytes)).map_err(|_| wrong)?;
        let taken = self
            .dealer
            .receive_player_ack(key_of(&player)?, acknowledgement);
        taken.map_err(|_| wrong)?;
        self.acknowledged.insert(player);
        Ok(())
    }

    /// The signed log, once all players have acknowledged; before that it would reveal what was offered.
    pub fn log(self) -> Option<Vec<u8>> {
        if self.acknowledged.len() < self.players {
            return None;
        }
        let log = for_k!(self.k, M => self.dealer.finalize::<M>());
        log.map(|log| log.encode().to_vec())
    }
}

impl Playing {
    /// Begins to take offers.
    pub fn new(round: &Round, key: &MemberKey) -> Result<Self, ReleaseError> {
        let player = Player::new(round.info.clone(), key.key.clone());
        Ok(Self {
            player: player.map_err(|_| ReleaseError::NotInRound)?,
            round: round.clone(),
        })
    }

    /// Takes the offer of a dealer and acknowledges it. Whoever acknowledges has to keep the offer: keep it first.
    pub fn take(&mut self, dealer: &[u8; 32], offer: &Offer) -> Result<Vec<u8>, ReleaseError> {
        let wrong = ReleaseError::WrongOffer;
        let max = bound().ok_or(wrong)?;
        let public = DealerPubMsg::<MinPk>::decode_cfg(Copying(&offer.public), &max);
        let public = public.map_err(|_| wrong)?;
        let private = DealerPrivMsg::decode(Copying(&offer.private)).map_err(|_| wrong)?;
        let dealer = key_of(dealer)?;
        let taken = for_k!(self.round.k, M => {
            self.player.dealer_message::<M>(dealer, public, private)
        });
        match taken {
            Some(Ok(Some(acknowledgement))) => Ok(acknowledgement.encode().to_vec()),
            _ => Err(wrong),
        }
    }

    /// The committee and this member's share of its key, from the chosen logs.
    pub fn finish(self, chosen: &[Vec<u8>]) -> Result<(Committee, KeyShare), ReleaseError> {
        let Self { round, player } = self;
        let logs = chosen.iter().map(|log| round.read(log));
        let logs = logs
            .collect::<Option<Vec<_>>>()
            .ok_or(ReleaseError::NoKey)?;
        let made = for_k!(round.k, M => {
            let mut all = Logs::<MinPk, PublicKey, M>::new(round.info.clone());
            for (dealer, log) in logs {
                all.record(dealer, log);
            }
            player.finalize::<M>(&mut random::fresh(), all, &Sequential)
        });
        let (output, share) = made
            .ok_or(ReleaseError::NoKey)?
            .map_err(|_| ReleaseError::OfferMissing)?;
        if !output.revealed().is_empty() {
            return Err(ReleaseError::NoKey);
        }
        Ok((Committee { k: round.k, output }, KeyShare(share)))
    }
}

fn bound() -> Option<NonZeroU32> {
    u32::try_from(MEMBERS_MAX).ok().and_then(NonZeroU32::new)
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(MemberKey, Offer, Round, Dealing, Playing);
