//! Branch keys in a link: a FHIR `Parameters` that the wallet signs, for one member.
//!
//! | Parameter | Value |
//! |---|---|
//! | `grant` | `careledger/branch-grant/v1` |
//! | `network`, `member` | the network's id (hexadecimal), the member that may enrol with it |
//! | `walletKey` | the wallet's Ed25519 key |
//! | `branch` (once or more) | parts `name`, `epoch` (the number of the key) and `key` |
//! | `signature` | by the wallet, over the domain and the CBOR of all that comes before |
//!
//! Bytes are `valueBase64Binary`, texts `valueString`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_zebra::{Signature, VerificationKey};
use ledger::codec;
use ledger::ids::{Digest, MemberName, NetworkId};
use ledger::stream::{BranchKey, GrantedBranch, KeyEpoch};
use serde_json::{Value, json};

/// What a grant is called, and the domain of its signature.
const FORM: &str = "careledger/branch-grant/v1";
/// Branches in one grant at most.
const BRANCHES_MAX: usize = 1_024;

/// Branch keys that a wallet gives to a member.
#[derive(Clone, PartialEq, Eq)]
pub struct BranchGrant {
    /// The network.
    pub network: NetworkId,
    /// The member that may enrol the patient with it.
    pub member: MemberName,
    /// The wallet's Ed25519 key.
    pub wallet: [u8; 32],
    /// The branches.
    pub branches: Vec<GrantedBranch>,
    signature: [u8; 64],
}

/// Why something is no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotABranchGrant {
    /// It is something else.
    #[error("it is no list of branch keys")]
    Malformed,
    /// Somebody else put it together.
    #[error("the branch keys are not signed by the wallet that is named")]
    NotSigned,
}

impl BranchGrant {
    /// A grant that the wallet signs; `sign` returns the signature of the bytes that it is given.
    pub fn sign(
        (network, member): (NetworkId, MemberName),
        wallet: [u8; 32],
        branches: Vec<GrantedBranch>,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Self {
        let mut grant = Self {
            network,
            member,
            wallet,
            branches,
            signature: [0; 64],
        };
        grant.signature = sign(&grant.input());
        grant
    }

    /// The resource that a link's file holds.
    pub fn to_resource(&self) -> Value {
        let mut parameters = vec![
            json!({ "name": "grant", "valueString": FORM }),
            json!({ "name": "network", "valueString": self.network.0.to_string() }),
            json!({ "name": "member", "valueString": self.member.as_str() }),
            bytes("walletKey", &self.wallet),
        ];
        parameters.extend(self.branches.iter().map(|one| {
            let name = json!({ "name": "name", "valueString": one.branch.name() });
            let epoch = json!({ "name": "epoch", "valueUnsignedInt": one.epoch });
            json!({ "name": "branch", "part": [name, epoch, bytes("key", one.key.expose())] })
        }));
        parameters.push(bytes("signature", &self.signature));
        json!({ "resourceType": "Parameters", "parameter": parameters })
    }

    /// The grant in a link's file, if the wallet that it names has signed it.
    pub fn from_resource(resource: &Value) -> Result<Self, NotABranchGrant> {
        let grant = parsed(resource).ok_or(NotABranchGrant::Malformed)?;
        let key = VerificationKey::try_from(grant.wallet);
        let key = key.map_err(|_| NotABranchGrant::NotSigned)?;
        let verified = key.verify(&Signature::from(grant.signature), &grant.input());
        verified.map_err(|_| NotABranchGrant::NotSigned)?;
        Ok(grant)
    }

    fn input(&self) -> Vec<u8> {
        let branches: Vec<(String, KeyEpoch, Digest)> = self
            .branches
            .iter()
            .map(|one| (one.branch.name(), one.epoch, Digest(*one.key.expose())))
            .collect();
        let said = (self.network, &self.member, Digest(self.wallet), branches);
        [FORM.as_bytes(), &codec::encode(&said)].concat()
    }
}

impl std::fmt::Debug for BranchGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BranchGrant(..)")
    }
}

fn parsed(resource: &Value) -> Option<BranchGrant> {
    let parameters = resource.get("parameter")?.as_array()?;
    let is_ours = resource.get("resourceType")? == "Parameters"
        && text(parameters, "grant")? == FORM
        && parameters.len() <= BRANCHES_MAX.saturating_add(5);
    let is_branch = |one: &&Value| one.get("name").and_then(Value::as_str) == Some("branch");
    let branches = parameters.iter().filter(is_branch).map(|one| {
        let parts = one.get("part")?.as_array()?;
        let epoch = named(parts, "epoch")?.get("valueUnsignedInt")?.as_u64()?;
        Some(GrantedBranch {
            branch: text(parts, "name")?.parse().ok()?,
            epoch: KeyEpoch::try_from(epoch).ok()?,
            key: BranchKey::from_bytes(exact(parts, "key")?),
        })
    });
    let branches = branches.collect::<Option<Vec<_>>>()?;
    let network = NetworkId(Digest::from_hex(text(parameters, "network")?)?);
    let grant = BranchGrant {
        network,
        member: text(parameters, "member")?.parse().ok()?,
        wallet: exact(parameters, "walletKey")?,
        signature: exact(parameters, "signature")?,
        branches,
    };
    (is_ours && !grant.branches.is_empty()).then_some(grant)
}

fn bytes(name: &str, value: &[u8]) -> Value {
    json!({ "name": name, "valueBase64Binary": STANDARD.encode(value) })
}

fn named<'a>(parameters: &'a [Value], name: &str) -> Option<&'a Value> {
    let is_named = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
    parameters.iter().find(is_named)
}

fn text<'a>(parameters: &'a [Value], name: &str) -> Option<&'a str> {
    named(parameters, name)?.get("valueString")?.as_str()
}

fn exact<const N: usize>(parameters: &[Value], name: &str) -> Option<[u8; N]> {
    let text = named(parameters, name)?
        .get("valueBase64Binary")?
        .as_str()?;
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_zebra::SigningKey;

    fn grant(seed: u8) -> BranchGrant {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let place = (NetworkId(Digest([1; 32])), "clinic".parse().unwrap());
        let branches = ["index/clinic", "consent/hospital"]
            .iter()
            .zip(1..)
            .map(|(name, key)| GrantedBranch {
                branch: name.parse().unwrap(),
                epoch: u32::from(key),
                key: BranchKey::from_bytes([key; 32]),
            });
        let wallet = VerificationKey::from(&signing).into();
        BranchGrant::sign(place, wallet, branches.collect(), |bytes| {
            signing.sign(bytes).into()
        })
    }

    #[test]
    fn a_grant_comes_out_as_it_went_in_and_shows_no_key() {
        let grant = grant(3);
        let read = BranchGrant::from_resource(&grant.to_resource()).unwrap();
        assert!(read == grant);
        assert_eq!(format!("{grant:?}"), "BranchGrant(..)");
    }

    #[test]
    fn nobody_puts_another_wallet_member_or_key_into_a_grant() {
        let resource = grant(3).to_resource();
        let other = bytes("walletKey", &grant(4).wallet);
        let changes = [
            ("/parameter/3", other),
            ("/parameter/2/valueString", json!("payer")),
            ("/parameter/4/part/0/valueString", json!("index/payer")),
            ("/parameter/4/part/1/valueUnsignedInt", json!(7)),
            ("/parameter/5/part/2", bytes("key", &[9; 32])),
        ];
        for (pointer, value) in changes {
            let mut changed = resource.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            let refused = BranchGrant::from_resource(&changed).unwrap_err();
            assert_eq!(refused, NotABranchGrant::NotSigned, "{pointer}");
        }
    }

    #[test]
    fn what_is_something_else_is_no_grant() {
        let mut without = grant(3).to_resource();
        without["parameter"].as_array_mut().unwrap().truncate(4);
        let mut renamed = grant(3).to_resource();
        renamed["parameter"][0]["valueString"] = json!("careledger/branch-grant/v2");
        for other in [
            json!({ "resourceType": "Bundle" }),
            json!([]),
            without,
            renamed,
        ] {
            let refused = BranchGrant::from_resource(&other).unwrap_err();
            assert_eq!(refused, NotABranchGrant::Malformed);
        }
    }
}
