//! The keys with which a simulated validator cosigns checkpoints.
//!
//! ML-DSA signatures are drawn anew each time, outside the seed: nothing else depends on their bytes.

use std::sync::Arc;

use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};
use ed25519_zebra::SigningKey;
use ledger::checkpoint::CosignerSigner;
use ledger::genesis::MlDsa44Key;
use node::chain::{CannotCosign, Cosigner};
use sim::forge::Forge;

struct Keys {
    node: SigningKey,
    validator: SigningKey,
    ml_dsa_44: PqdsaKeyPair,
}

impl CosignerSigner for Keys {
    type Error = CannotCosign;

    fn sign_receipt(&self, bytes: &[u8]) -> Result<[u8; 64], CannotCosign> {
        Ok(self.node.sign(bytes).to_bytes())
    }

    fn sign_ed25519(&self, bytes: &[u8]) -> Result<[u8; 64], CannotCosign> {
        Ok(self.validator.sign(bytes).to_bytes())
    }

    fn sign_ml_dsa_44(&self, bytes: &[u8]) -> Result<Vec<u8>, CannotCosign> {
        let mut signature = vec![0; ML_DSA_44_SIGNING.signature_len()];
        self.ml_dsa_44.sign(bytes, &mut signature).unwrap();
        Ok(signature)
    }
}

fn ml_dsa_44(validator: &[u8; 32]) -> PqdsaKeyPair {
    PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, validator).unwrap()
}

/// The public key with which the validator of this seed cosigns.
pub(crate) fn public(validator: &[u8; 32]) -> MlDsa44Key {
    MlDsa44Key::from_bytes(ml_dsa_44(validator).public_key().as_ref().to_vec())
}

/// What `member` cosigns with.
pub(crate) fn cosigner(forge: &Forge, member: &str) -> Cosigner {
    let validator = forge.validator_seed(member).unwrap();
    let (node, certificate) = forge.node_seed(member).unwrap();
    Cosigner {
        member: member.parse().unwrap(),
        certificate,
        signer: Arc::new(Keys {
            node: SigningKey::from_bytes(&node),
            validator: SigningKey::from_bytes(&validator),
            ml_dsa_44: ml_dsa_44(&validator),
        }),
    }
}
