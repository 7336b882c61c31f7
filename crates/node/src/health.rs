//! How a node is, for operators: what `/ready`, `/metrics` and `careledger status` show.

use contracts::membership::Registry;
use ledger::ids::{BlockTime, Epoch, Height, MemberName};

use crate::chain::{Chain, Clock};
use crate::custody::audit::ForwardStanding;
use crate::custody::upstream::UpstreamStatus;
use crate::custody::{Custody, DutyCount, EmergencyCount, ErasureStanding, LabelProgress};
use crate::engine::Status;
use crate::identity::Identity;
use crate::outbox::OutboxStatus;

/// Blocks that a node may be behind and still count as caught up.
const BEHIND_MAX: u64 = 32;

/// Before its certificate expires by this much, a node warns: four weeks.
pub const EXPIRY_WARNING_MS: u64 = 28 * 86_400_000;

/// How a node is at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The last block applied here.
    pub height: Height,
    /// The last block known to be final.
    pub final_height: Height,
    /// The epoch of the last applied block.
    pub epoch: Epoch,
    /// Whether this member validates in it.
    pub validates: bool,
    /// Milliseconds since the last applied block's time.
    pub age_ms: u64,
    /// Nodes that are connected to this one's validator.
    pub peers: usize,
    /// Statements on their way to the ledger.
    pub outbox: OutboxStatus,
    /// When the certificate that this node speaks with expires.
    pub certificate_expires: BlockTime,
    /// Milliseconds until then; nothing is left once it has.
    pub certificate_left_ms: u64,
    /// Bytes of statements that wait to be ordered: each active member's.
    pub waiting_bytes: Vec<(MemberName, usize)>,
    /// Bytes of the ledger on disk.
    pub ledger_bytes: u64,
    /// Times that a validator was seen to contradict itself.
    pub contradictions: u64,
    /// Times that a damaged row of the ledger was met since the node started.
    pub damaged_rows: u64,
    /// Proposals that can be voted on.
    pub open_proposals: usize,
    /// Erasures that are open, and who is missing.
    pub erasures: ErasureStanding,
    /// What is going on with the existing FHIR server, where there is one.
    pub upstream: Option<UpstreamStatus>,
    /// How far labelling all documents anew is.
    pub labelling: LabelProgress,
    /// Declared emergencies whose review waits.
    pub emergencies: EmergencyCount,
    /// What is owed to patients by a time, those reviews included.
    pub duties: DutyCount,
    /// Consents that the ledger has of patients here, and that this member does not have yet.
    pub consents_missing: usize,
    /// How forwarding the audit log stands, where it is forwarded.
    pub forward: Option<ForwardStanding>,
}

/// Where a node's health is read from.
#[derive(Clone)]
pub struct Vitals {
    pub(crate) chain: Chain,
    pub(crate) custody: Custody,
    pub(crate) identity: Identity,
    pub(crate) engine: Status,
    pub(crate) clock: Clock,
}

impl std::fmt::Debug for Vitals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vitals").finish_non_exhaustive()
    }
}

impl Health {
    /// Whether the node has applied what is known to be final, nearly.
    pub fn is_caught_up(&self) -> bool {
        self.final_height.0.saturating_sub(self.height.0) <= BEHIND_MAX
    }

    /// Whether it is time to renew the certificate.
    pub fn expires_soon(&self) -> bool {
        self.certificate_left_ms < EXPIRY_WARNING_MS
    }
}

impl Vitals {
    fn waiting_bytes(&self, registry: &Registry) -> Vec<(MemberName, usize)> {
        let waiting = self.chain.waiting_bytes();
        let members = registry.seats().iter().map(|seat| seat.name.clone());
        let bytes_of = |name: &MemberName| waiting.get(name).copied().unwrap_or_default();
        members
            .map(|name| (name.clone(), bytes_of(&name)))
            .collect()
    }

    /// Reviews that wait, and everything that is owed by a time.
    fn owed(&self) -> (EmergencyCount, DutyCount) {
        let owed = self.custody.emergencies().and_then(|reviews| {
            let duties = self.custody.duties()?;
            Ok((reviews, duties))
        });
        owed.unwrap_or_else(|error| {
            tracing::error!(%error, "what is owed cannot be read");
            Default::default()
        })
    }

    /// The audit log that is not forwarded yet.
    fn forward(&self) -> Option<ForwardStanding> {
        self.custody.forward_standing().unwrap_or_else(|error| {
            tracing::error!(%error, "how far the audit log is forwarded cannot be read");
            None
        })
    }

    /// The node's health now.
    pub fn read(&self) -> Health {
        let (tip, registry) = (self.chain.tip(), self.chain.registry());
        let (engine, now) = (self.engine.read(), (self.clock)());
        let epoch = registry.rules().epoch_of(tip.height);
        let validators = registry.signatories(epoch);
        let member = self.identity.member();
        let certificate = registry.certificate(member, self.identity.certificate());
        let certificate_expires = certificate.map_or(BlockTime(0), |one| one.not_after);
        let open = registry.proposals().iter();
        let (emergencies, duties) = self.owed();
        Health {
            height: tip.height,
            final_height: Height(engine.finalized_height.max(tip.height.0)),
            epoch,
            validates: validators.iter().any(|one| one.member == *member),
            age_ms: now.saturating_sub(tip.time.0),
            peers: engine.connected.len(),
            outbox: self.custody.outbox(),
            certificate_expires,
            certificate_left_ms: certificate_expires.0.saturating_sub(now),
            waiting_bytes: self.waiting_bytes(&registry),
            ledger_bytes: self.chain.disk_bytes().unwrap_or(0),
            contradictions: engine.contradictions,
            damaged_rows: self.chain.damaged_rows(),
            open_proposals: open.filter(|one| one.closes_at >= tip.height).count(),
            erasures: self.custody.erasure_standing(),
            upstream: self.custody.upstream(),
            labelling: self.custody.labelling(),
            emergencies,
            duties,
            consents_missing: self.custody.consents_lacking(),
            forward: self.forward(),
        }
    }
}
