//! What members change the registry by, and what stands in it.

use contracts::access::DecisionRecord;
use contracts::descriptor::Descriptor;
use contracts::governance::{self, Command, Context, evolve};
use contracts::membership::{NodeCertificate, Registry};
use ledger::ids::{BlockTime, Digest, Height};

use crate::Target;
use crate::world::{MEMBERS, world};

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "command",
        run: command,
    },
    Target {
        name: "registry",
        run: registry,
    },
    Target {
        name: "certificate",
        run: certificate,
    },
    Target {
        name: "descriptor",
        run: descriptor,
    },
    Target {
        name: "decision-record",
        run: decision,
    },
];

fn command(bytes: &[u8]) {
    let Ok(command) = Command::decode(bytes) else {
        return;
    };
    assert_eq!(command.encode(), bytes);
    let member = MEMBERS[0].parse().unwrap();
    let context = Context {
        member: &member,
        certificate: Digest::of(&world().genesis().members[0].node),
        height: Height(7),
        time: BlockTime(world().genesis().time.0 + 7_000),
    };
    let registry = &world().registry;
    if let Ok(events) = governance::decide(registry, &context, command) {
        let after = evolve(registry, &context, &events).unwrap();
        let again = Registry::decode(&after.encode()).unwrap();
        assert_eq!(again.encode(), after.encode());
    }
}

fn registry(bytes: &[u8]) {
    if let Ok(registry) = Registry::decode(bytes) {
        assert_eq!(registry.encode(), bytes);
        let time = BlockTime(world().genesis().time.0);
        for (member, certificate) in registry.node_certificates() {
            let _key = registry.key_at(member, certificate.thumbprint, time);
        }
        for height in [0, 999, u64::MAX] {
            let _digest = registry.validators_digest(Height(height));
        }
        let _signatories = registry.all_signatories();
    }
}

/// Bytes that an authority did not issue speak for nobody; nor do others for what it did issue: a revoked
/// certificate would come back under another thumbprint.
fn certificate(bytes: &[u8]) {
    for member in &world().genesis().members {
        if NodeCertificate::issued(bytes, &member.authority).is_ok() {
            let is_as_issued = bytes == member.node || bytes == member.authority;
            assert!(is_as_issued, "another form of a certificate");
        }
    }
    let _authority = NodeCertificate::check_authority(bytes);
    let _self_signed = NodeCertificate::issued(bytes, bytes);
}

fn descriptor(bytes: &[u8]) {
    if let Ok(descriptor) = Descriptor::decode(bytes) {
        assert_eq!(descriptor.encode(), bytes);
        assert_eq!(descriptor.digest(), Digest::of(bytes));
    }
}

fn decision(bytes: &[u8]) {
    if let Ok(record) = DecisionRecord::decode(bytes) {
        assert_eq!(record.encode(), bytes);
    }
}
