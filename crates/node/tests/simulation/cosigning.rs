//! The keys with which a simulated validator cosigns checkpoints.
//!
//! The library draws ML-DSA signatures anew each time, outside the seed. So that the same seed gives the same bytes,
//! what was signed once is kept for the run's repetition.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};
use ed25519_zebra::SigningKey;
use ledger::checkpoint::{Checkpoint, Cosignature, CosignerKeys, CosignerSigner};
use ledger::codec;
use ledger::genesis::MlDsa44Key;
use ledger::ids::Digest;
use node::chain::{CannotCosign, Chain, Cosigner};
use node::engine::{Gossip, GossipError};
use node::outbox::Speaker;
use sim::forge::Forge;

/// ML-DSA signatures by key and message.
static SIGNED: Mutex<Signed> = Mutex::new(BTreeMap::new());

type Signed = BTreeMap<([u8; 32], Vec<u8>), Vec<u8>>;

struct Keys {
    validator: SigningKey,
    ml_dsa_44: PqdsaKeyPair,
}

impl CosignerSigner for Keys {
    type Error = CannotCosign;

    fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64], CannotCosign> {
        Ok(self.validator.sign(bytes).to_bytes())
    }

    fn sign_ml_dsa_44(&self, bytes: &[u8]) -> Result<Vec<u8>, CannotCosign> {
        let sign = || {
            let mut signature = vec![0; ML_DSA_44_SIGNING.signature_len()];
            self.ml_dsa_44.sign(bytes, &mut signature).unwrap();
            signature
        };
        let mut signed = SIGNED.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (self.validator.into(), bytes.to_vec());
        Ok(signed.entry(place).or_insert_with(sign).clone())
    }
}

/// Forgets what was signed for the seed before.
pub(crate) fn forget() {
    let mut signed = SIGNED.lock().unwrap_or_else(PoisonError::into_inner);
    signed.clear();
}

fn ml_dsa_44(validator: &[u8; 32]) -> PqdsaKeyPair {
    PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, validator).unwrap()
}

/// The public key with which the validator of this seed cosigns.
pub(crate) fn public(validator: &[u8; 32]) -> MlDsa44Key {
    MlDsa44Key::from_bytes(ml_dsa_44(validator).public_key().as_ref().to_vec())
}

/// Signs and sends a checkpoint of another log whenever the log has grown.
pub(crate) async fn forge((chain, cosigner, gossip): (Chain, Cosigner, Gossip)) {
    let network = chain.network();
    let mut signatories = chain.genesis().signatories().into_iter();
    let own = signatories.find(|one| one.member == cosigner.member);
    let keys = CosignerKeys::of(network, &own.unwrap()).unwrap();
    let node = cosigner.node.speaker();
    let mut tips = chain.subscribe();
    let mut size = 0;
    while tips.changed().await.is_ok() {
        let tip = *tips.borrow_and_update();
        if tip.log_size == size {
            continue;
        }
        size = tip.log_size;
        let checkpoint = Checkpoint::of(network, size, Digest::of(b"another log"));
        let sign_receipt = |bytes: &[u8]| Ok((node.sign)(bytes).unwrap());
        let signer = (node.of(&cosigner.member), sign_receipt);
        let seconds = tip.time.0 / 1_000;
        let signed = Cosignature::sign(signer, &keys, &checkpoint, seconds, &*cosigner.validator);
        // As the chain's frames are.
        let frame = codec::encode(&(1_u8, (signed.unwrap(),)));
        if gossip.broadcast(frame.into()) == Err(GossipError::Stopped) {
            return;
        }
    }
}

/// What `member` cosigns with, as the validator of this seed.
pub(crate) fn cosigner(forge: &Forge, member: &str, validator: [u8; 32]) -> Cosigner {
    let (node, certificate) = forge.node_seed(member).unwrap();
    let node = SigningKey::from_bytes(&node);
    let speaker = Speaker {
        certificate,
        algorithm: ledger::node_key::Algorithm::EdDsa,
        sign: Arc::new(move |bytes| Ok(node.sign(bytes).to_bytes())),
    };
    Cosigner {
        member: member.parse().unwrap(),
        node: speaker.into(),
        validator: Arc::new(Keys {
            validator: SigningKey::from_bytes(&validator),
            ml_dsa_44: ml_dsa_44(&validator),
        }),
    }
}
