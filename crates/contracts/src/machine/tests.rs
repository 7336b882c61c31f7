use ed25519_zebra::SigningKey;
use ledger::genesis::Genesis;
use ledger::ids::{Digest, Tag};
use ledger::item::Item;
use ledger::statement::{Payload, StatementError, StatementId};

use super::*;
use crate::membership::Endpoints;
use crate::membership::tests::{JUNE, member};

struct Network {
    genesis: Genesis,
    registry: Registry,
    key: SigningKey,
}

fn network() -> Network {
    let (clinic, key) = member("clinic", false);
    let genesis = Genesis {
        name: "test".to_owned(),
        time: BlockTime(0),
        members: vec![clinic],
        rules: None,
    };
    let registry = Registry::from_genesis(&genesis).unwrap();
    // The seed follows the 16 bytes of PKCS #8 framing (RFC 8410 §7).
    let seed: [u8; 32] = key.serialize_der()[16..48].try_into().unwrap();
    let key = SigningKey::from_bytes(&seed);
    Network {
        genesis,
        registry,
        key,
    }
}

impl Network {
    fn statement(
        &self,
        member: &str,
        key: &SigningKey,
        network: NetworkId,
        expires_at: u64,
    ) -> SubmittedStatement {
        let items = vec![Item {
            tags: [Tag([1; 16]), Tag([2; 16])],
            commitment: Digest([3; 32]),
        }];
        let certificate = Digest::of(&self.genesis.members[0].node);
        let frame = (network, StatementId([9; 16]), Height(expires_at));
        let sign = |bytes: &[u8]| Ok::<_, ()>(key.sign(bytes).to_bytes());
        SubmittedStatement::sign_items((&member.parse().unwrap(), certificate), frame, items, sign)
            .unwrap()
    }

    fn judge(&self, statement: &SubmittedStatement, draft: &mut Draft) -> Result<(), Rejection> {
        let context = Context {
            network: self.genesis.network(),
            height: Height(5),
            time: JUNE,
            registry: &self.registry,
        };
        decide(
            &context,
            statement,
            Signature::Unchecked,
            &plan(statement),
            draft,
        )
    }
}

#[test]
fn p9_a_statement_is_accepted_from_a_member_for_this_network_in_time() {
    let net = network();
    let here = net.genesis.network();
    let judge = |member: &str, key: &SigningKey, network, expires_at| {
        net.judge(
            &net.statement(member, key, network, expires_at),
            &mut Draft::default(),
        )
    };
    let stranger = SigningKey::from_bytes(&[8; 32]);
    assert_eq!(judge("clinic", &net.key, here, 5), Ok(()));
    assert_eq!(judge("clinic", &net.key, here, 4), Err(Rejection::Expired));
    assert_eq!(
        judge("clinic", &net.key, here, 10_006),
        Err(Rejection::LivesTooLong)
    );
    let elsewhere = NetworkId(Digest([1; 32]));
    assert_eq!(
        judge("clinic", &net.key, elsewhere, 5),
        Err(Rejection::OtherNetwork)
    );
    let forged = judge("clinic", &stranger, here, 5);
    assert_eq!(
        forged,
        Err(Rejection::Statement(StatementError::SignatureInvalid))
    );
    let payer = "payer".parse().unwrap();
    assert_eq!(
        judge("payer", &net.key, here, 5),
        Err(Rejection::UnknownMember(payer))
    );
}

#[test]
fn a_statement_applies_once() {
    let net = network();
    let statement = net.statement("clinic", &net.key, net.genesis.network(), 5);
    let mut draft = Draft::default();
    assert_eq!(net.judge(&statement, &mut draft), Ok(()));
    assert_eq!(
        net.judge(&statement, &mut draft),
        Err(Rejection::TagUsed { items: vec![0] })
    );
}

#[test]
fn a_command_to_no_contract_is_refused() {
    let net = network();
    let payload = Payload {
        network: net.genesis.network(),
        id: StatementId([1; 16]),
        expires_at: Height(5),
        body: Body::Command {
            contract: 77,
            command: vec![],
        },
    };
    let certificate = Digest::of(&net.genesis.members[0].node);
    let sign = |bytes: &[u8]| Ok::<_, ()>(net.key.sign(bytes).to_bytes());
    let signer = (&"clinic".parse().unwrap(), certificate);
    let command = SubmittedStatement::sign(signer, payload, vec![], sign).unwrap();
    assert_eq!(
        net.judge(&command, &mut Draft::default()),
        Err(Rejection::UnknownContract(77))
    );
}

#[test]
fn g6_a_command_is_obeyed_once() {
    let net = network();
    let endpoints = Endpoints {
        consensus: "192.0.2.1:1".to_owned(),
        exchange: "192.0.2.1:2".to_owned(),
    };
    let payload = Payload {
        network: net.genesis.network(),
        id: StatementId([1; 16]),
        expires_at: Height(5),
        body: Body::Command {
            contract: governance::CONTRACT,
            command: Command::Announce(endpoints).encode(),
        },
    };
    let certificate = Digest::of(&net.genesis.members[0].node);
    let sign = |bytes: &[u8]| Ok::<_, ()>(net.key.sign(bytes).to_bytes());
    let signer = (&"clinic".parse().unwrap(), certificate);
    let command = SubmittedStatement::sign(signer, payload, vec![], sign).unwrap();
    let mut draft = Draft::default();
    assert_eq!(net.judge(&command, &mut draft), Ok(()));
    let again = net.judge(&command, &mut draft);
    assert_eq!(again, Err(Rejection::CommandRepeated));
    let revised = draft.finish(&net.registry).unwrap();
    assert_eq!(revised.revision(), 1, "a block makes one revision");
}
