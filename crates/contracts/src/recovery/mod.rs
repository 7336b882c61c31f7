//! Recovery: guardians give a patient's wallet back, after a delay in which the wallet can object.
//!
//! ```text
//!            set up                request               k approvals and the delay       finish
//!   (none) ---------> guarded ---------------> under way ------------------------> ripe --------> guarded,
//!                        ^   by a new wallet      |                                 |              by the new wallet
//!                        +------------------------+---------------------------------+
//!                              the wallet objects, or sets up other guardians
//! ```
//! Evaluated at the member that keeps what the guardians' shares open, and by whoever checks its log. The shares
//! themselves are sealed to the new wallet; here they are bytes.
//!
//! # Invariants
//! - **V1** Nothing is handed out before the delay has passed, with fewer than k approvals, or after an objection.
//! - **V2** Who sets up, objects or finishes signs with the wallet's key; who approves with a guardian's.
//! - **V3** Each approval is of one request; a request that was ended is never taken again.
//! - **V4** After other guardians are set up, nothing that was signed for those before counts.
//! - **V5** A wallet's key gives way to one that it names and that agrees to it, while nobody asks for the wallet; a key
//!   that gave way does not come back under the same set-up.
//!
//! V5 is for the members that are not asked by guardians: the recovered root yields the key that they know. It gives a
//! thief of that key nothing new, who could as well set up guardians of their own.

mod refusal;

use ed25519_zebra::{Signature, VerificationKey};
use ledger::codec;
use ledger::ids::{Digest, NetworkId};
use minicbor::{Decode, Encode};

pub use refusal::Refusal;

/// Guardians at most, and how many of them it may take.
pub const GUARDIANS_MAX: usize = 13;
const K_MAX: u32 = 7;
/// The shortest delay: one in which a wallet that is there can object.
pub const DELAY_MS_MIN: u64 = 1_000;
/// The longest delay: thirty days.
pub const DELAY_MS_MAX: u64 = 30 * 24 * 3_600 * 1_000;
/// The delay unless the patient says otherwise: 72 hours.
pub const DELAY_MS: u64 = 72 * 3_600 * 1_000;
/// Bytes of a sealed share at most.
const SHARE_BYTES_MAX: usize = 1_024;
/// Requests that are remembered as ended; whoever has made as many has to wait for other guardians.
const ENDED_MAX: usize = 256;

/// What a wallet or a guardian says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// Have these guardians from now on.
    #[n(0)]
    SetUp(#[n(0)] Terms),
    /// Ask for the wallet, for the key that signs this.
    #[n(1)]
    Request {
        /// The HPKE key to which shares are sealed.
        #[n(0)]
        recipient: Digest,
        /// Random: one request is not another.
        #[n(1)]
        nonce: Digest,
    },
    /// Approve a request.
    #[n(2)]
    Approve {
        /// The request.
        #[n(0)]
        request: Digest,
        /// The guardian's share, sealed to the new wallet.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        share: Vec<u8>,
    },
    /// Object to a request, which ends it.
    #[n(3)]
    Object(#[n(0)] Digest),
    /// Put the new wallet's key in the place of the old one, which the recovered root has yielded.
    #[n(4)]
    Finish(#[n(0)] Digest),
    /// Put another key in the place of the wallet's, which signs this.
    #[n(5)]
    Replace {
        /// The key.
        #[n(0)]
        wallet: Digest,
        /// By that key: it agrees to this.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        consent: [u8; 64],
    },
}

/// Who the guardians are.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Terms {
    /// How many of them it takes.
    #[n(0)]
    pub k: u32,
    /// Their wallets' Ed25519 keys, ascending.
    #[n(1)]
    pub guardians: Vec<Digest>,
    /// Between a request and what it is given.
    #[n(2)]
    pub delay_ms: u64,
    /// SHA-256 of what the guardians' shares open.
    #[n(3)]
    pub sealed: Digest,
}

/// A command, for which guardianship, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Signed {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The wallet as it was known when the guardianship began.
    #[n(1)]
    pub guarded: Digest,
    /// The number of the set-up: those before count no more (V4).
    #[n(2)]
    pub number: u64,
    /// What is said.
    #[n(3)]
    pub command: Command,
    /// The Ed25519 key that signs.
    #[n(4)]
    pub signer: Digest,
    /// The signature of all that comes before.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// A patient's guardians, and the recovery under way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Guardianship {
    #[n(0)]
    network: NetworkId,
    #[n(1)]
    guarded: Digest,
    #[n(2)]
    wallet: Digest,
    #[n(3)]
    number: u64,
    #[n(4)]
    terms: Option<Terms>,
    #[n(5)]
    recovery: Option<Recovery>,
    #[n(6)]
    ended: Vec<Digest>,
}

/// A request that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Recovery {
    /// SHA-256 of the signed request.
    #[n(0)]
    pub request: Digest,
    /// The key that shall be the wallet's.
    #[n(1)]
    pub wallet: Digest,
    /// The HPKE key to which shares are sealed.
    #[n(2)]
    pub recipient: Digest,
    /// When it was taken, milliseconds.
    #[n(3)]
    pub since_ms: u64,
    /// What guardians have approved.
    #[n(4)]
    pub approvals: Vec<Approval>,
}

/// A guardian's approval.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Approval {
    /// The guardian.
    #[n(0)]
    pub guardian: Digest,
    /// Its share, sealed to the new wallet.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub share: Vec<u8>,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Other guardians guard the wallet.
    SetUp(Terms),
    /// A recovery began.
    Requested(Recovery),
    /// A guardian approved it.
    Approved(Approval),
    /// The wallet objected.
    Objected,
    /// The new wallet took the old one's place.
    Finished(Digest),
    /// Another key took the place of the wallet's, as the wallet said itself.
    Replaced(Digest),
}

/// Which guardianship a command is for: the network, the wallet as it was known when it began, the number of the set-up.
pub type Place = (NetworkId, Digest, u64);

impl Command {
    /// Puts `wallet` in the place of the key `former`; `sign` signs with the new one.
    pub fn replace(
        place: Place,
        (former, wallet): (Digest, Digest),
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Self {
        let consent = sign(&replaced_input(place, (former, wallet)));
        Self::Replace { wallet, consent }
    }
}

/// What a key signs that takes the place of another.
fn replaced_input(place: Place, keys: (Digest, Digest)) -> Vec<u8> {
    let domain = b"careledger/wallet-replaced/v1".as_slice();
    [domain, &codec::encode(&(place, keys))].concat()
}

fn is_signed(key: Digest, signature: [u8; 64], input: &[u8]) -> bool {
    let verified = VerificationKey::try_from(key.0)
        .and_then(|key| key.verify(&Signature::from(signature), input));
    verified.is_ok()
}

impl Signed {
    /// Signs a command; `sign` returns the signature of the bytes that it is given.
    pub fn sign(
        (network, guarded, number): Place,
        command: Command,
        signer: Digest,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Self {
        let mut signed = Self {
            network,
            guarded,
            number,
            command,
            signer,
            signature: [0; 64],
        };
        signed.signature = sign(&signed.input());
        signed
    }

    /// What names a request.
    pub fn digest(&self) -> Digest {
        Digest::of(&codec::encode(self))
    }

    fn input(&self) -> Vec<u8> {
        let said = (
            self.network,
            self.guarded,
            self.number,
            &self.command,
            self.signer,
        );
        [b"careledger/recovery/v1".as_slice(), &codec::encode(&said)].concat()
    }

    fn check(&self) -> Result<(), Refusal> {
        let is_signed = is_signed(self.signer, self.signature, &self.input());
        is_signed.then_some(()).ok_or(Refusal::NotSigned)
    }
}

impl Terms {
    fn check(&self) -> Result<(), Refusal> {
        let n = u32::try_from(self.guardians.len()).unwrap_or(u32::MAX);
        let is_sized = self.guardians.len() <= GUARDIANS_MAX && (2..=K_MAX).contains(&self.k);
        if !is_sized || self.k > n || n >= self.k.saturating_mul(2) {
            return Err(Refusal::NoSuchGuardians);
        }
        if !self.guardians.is_sorted_by(|one, next| one < next) {
            return Err(Refusal::NotInOrder);
        }
        let is_long = (DELAY_MS_MIN..=DELAY_MS_MAX).contains(&self.delay_ms);
        is_long.then_some(()).ok_or(Refusal::DelayOutOfBounds)
    }
}

impl Guardianship {
    /// That of a wallet which has set up nothing yet.
    pub fn of(network: NetworkId, wallet: Digest) -> Self {
        Self {
            network,
            guarded: wallet,
            wallet,
            number: 0,
            terms: None,
            recovery: None,
            ended: Vec::new(),
        }
    }

    /// The wallet as it was known when the guardianship began.
    pub fn guarded(&self) -> Digest {
        self.guarded
    }

    /// The wallet's key now.
    pub fn wallet(&self) -> Digest {
        self.wallet
    }

    /// The number of the set-up in force; 0 before the first.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who the guardians are.
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// The recovery under way.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// What the new wallet is given, once it may be (V1).
    pub fn handed_out(&self, request: Digest, now_ms: u64) -> Result<&[Approval], Refusal> {
        let (terms, recovery) = self.under_way(request)?;
        let ripe_at = recovery.since_ms.saturating_add(terms.delay_ms);
        if now_ms < ripe_at {
            return Err(Refusal::TooEarly {
                wait_ms: ripe_at.saturating_sub(now_ms),
            });
        }
        let given = u32::try_from(recovery.approvals.len()).unwrap_or(u32::MAX);
        if given < terms.k {
            return Err(Refusal::TooFewApprovals {
                given,
                needed: terms.k,
            });
        }
        Ok(&recovery.approvals)
    }

    fn under_way(&self, request: Digest) -> Result<(&Terms, &Recovery), Refusal> {
        let recovery = self.recovery.as_ref();
        let recovery = recovery.filter(|recovery| recovery.request == request);
        let terms = self.terms.as_ref();
        terms.zip(recovery).ok_or(Refusal::NoSuchRequest)
    }

    fn by_wallet(&self, signed: &Signed) -> Result<(), Refusal> {
        let is_wallet = signed.signer == self.wallet;
        is_wallet.then_some(()).ok_or(Refusal::NotTheWallet)
    }
}

/// Answers a command at `now_ms`, by block time, with what will have happened, or with the reason it may not.
pub fn decide(guarded: &Guardianship, now_ms: u64, signed: &Signed) -> Result<Event, Refusal> {
    signed.check()?;
    if signed.network != guarded.network || signed.guarded != guarded.guarded {
        return Err(Refusal::OtherWallet);
    }
    // A set-up says the number that it makes; all else the one in force (V4).
    let is_set_up = matches!(signed.command, Command::SetUp(_));
    let expected = guarded.number.saturating_add(u64::from(is_set_up));
    if signed.number != expected {
        return Err(Refusal::OtherSetUp);
    }
    match &signed.command {
        Command::SetUp(terms) => {
            guarded.by_wallet(signed)?;
            terms.check()?;
            Ok(Event::SetUp(terms.clone()))
        }
        Command::Request { recipient, .. } => request(guarded, now_ms, (signed, *recipient)),
        Command::Approve { request, share } => {
            let (terms, recovery) = guarded.under_way(*request)?;
            if !terms.guardians.contains(&signed.signer) {
                return Err(Refusal::NotAGuardian);
            }
            let mut approvals = recovery.approvals.iter();
            if approvals.any(|one| one.guardian == signed.signer) {
                return Err(Refusal::ApprovedBefore);
            }
            if share.len() > SHARE_BYTES_MAX {
                return Err(Refusal::TooLarge);
            }
            Ok(Event::Approved(Approval {
                guardian: signed.signer,
                share: share.clone(),
            }))
        }
        Command::Object(request) => {
            guarded.by_wallet(signed)?;
            guarded.under_way(*request)?;
            Ok(Event::Objected)
        }
        Command::Finish(request) => {
            guarded.by_wallet(signed)?;
            guarded.handed_out(*request, now_ms)?;
            let (_, recovery) = guarded.under_way(*request)?;
            Ok(Event::Finished(recovery.wallet))
        }
        Command::Replace { wallet, consent } => {
            guarded.by_wallet(signed)?;
            replace(guarded, *wallet, *consent)
        }
    }
}

fn replace(guarded: &Guardianship, wallet: Digest, consent: [u8; 64]) -> Result<Event, Refusal> {
    if guarded.recovery.is_some() {
        return Err(Refusal::UnderWay);
    }
    if wallet == guarded.wallet {
        return Err(Refusal::NotANewWallet);
    }
    if guarded.ended.contains(&wallet) || guarded.ended.len() >= ENDED_MAX {
        return Err(Refusal::FormerKey);
    }
    let place = (guarded.network, guarded.guarded, guarded.number);
    let input = replaced_input(place, (guarded.wallet, wallet));
    let agrees = is_signed(wallet, consent, &input);
    agrees
        .then_some(Event::Replaced(wallet))
        .ok_or(Refusal::NotAgreed)
}

fn request(
    guarded: &Guardianship,
    now_ms: u64,
    (signed, recipient): (&Signed, Digest),
) -> Result<Event, Refusal> {
    if guarded.terms.is_none() {
        return Err(Refusal::NoSuchGuardians);
    }
    let request = signed.digest();
    if guarded.ended.contains(&request) || guarded.ended.len() >= ENDED_MAX {
        return Err(Refusal::EndedBefore);
    }
    if guarded.recovery.is_some() {
        return Err(Refusal::UnderWay);
    }
    if signed.signer == guarded.wallet {
        return Err(Refusal::NotANewWallet);
    }
    Ok(Event::Requested(Recovery {
        request,
        wallet: signed.signer,
        recipient,
        since_ms: now_ms,
        approvals: Vec::new(),
    }))
}

/// Folds an event.
pub fn evolve(guarded: &mut Guardianship, event: Event) {
    match event {
        Event::SetUp(terms) => {
            guarded.number = guarded.number.saturating_add(1);
            guarded.terms = Some(terms);
            guarded.recovery = None;
            guarded.ended.clear();
        }
        Event::Requested(recovery) => guarded.recovery = Some(recovery),
        Event::Approved(approval) => {
            if let Some(recovery) = &mut guarded.recovery {
                recovery.approvals.push(approval);
            }
        }
        Event::Objected => {
            let ended = guarded.recovery.take();
            guarded.ended.extend(ended.map(|recovery| recovery.request));
        }
        Event::Finished(wallet) => {
            let ended = guarded.recovery.take();
            guarded.ended.extend(ended.map(|recovery| recovery.request));
            guarded.wallet = wallet;
        }
        Event::Replaced(wallet) => {
            guarded.ended.push(guarded.wallet);
            guarded.wallet = wallet;
        }
    }
}

#[cfg(test)]
mod tests;
