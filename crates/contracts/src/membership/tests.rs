use ledger::genesis::PublicKey;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};

use super::*;

/// A member with a fresh authority; `signed_by_another` has its node certificate signed by a stranger.
pub(crate) fn member(name: &str, signed_by_another: bool) -> (Member, KeyPair) {
    let authority = authority();
    let stranger = self::authority();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    let (_, issuer) = if signed_by_another {
        &stranger
    } else {
        &authority
    };
    let node = params.signed_by(&key, issuer).unwrap().der().to_vec();
    let validator = Some(PublicKey([7; 32]));
    (
        Member {
            name: name.parse().unwrap(),
            authority: authority.0,
            node,
            validator,
            cosigner: None,
        },
        key,
    )
}

fn authority() -> (Vec<u8>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    (certificate, Issuer::new(params, key))
}

fn genesis(members: Vec<Member>) -> Genesis {
    Genesis {
        name: "test".to_owned(),
        time: BlockTime(0),
        members,
    }
}

/// 2026-06-01, within the certificates' validity.
pub(crate) const JUNE: BlockTime = BlockTime(1_780_272_000_000);

#[test]
fn p9_only_registered_certificates_speak_and_only_while_valid() {
    let (clinic, _) = member("clinic", false);
    let thumbprint = Digest::of(&clinic.node);
    let registry = Registry::from_genesis(&genesis(vec![clinic])).unwrap();
    let clinic: MemberName = "clinic".parse().unwrap();
    let payer: MemberName = "payer".parse().unwrap();
    let ask = |member, thumbprint, time| registry.key_at(member, thumbprint, time).map(|_| ());
    assert_eq!(ask(&clinic, thumbprint, JUNE), Ok(()));
    assert_eq!(
        ask(&payer, thumbprint, JUNE),
        Err(Rejection::UnknownMember(payer.clone()))
    );
    let other = Digest([1; 32]);
    assert_eq!(
        ask(&clinic, other, JUNE),
        Err(Rejection::UnknownCertificate(clinic.clone()))
    );
    let early = ask(&clinic, thumbprint, BlockTime(1_767_225_599_999));
    assert_eq!(
        early,
        Err(Rejection::CertificateNotYetValid(clinic.clone()))
    );
    let late = ask(&clinic, thumbprint, BlockTime(1_798_761_600_001));
    assert_eq!(late, Err(Rejection::CertificateExpired(clinic.clone())));
    assert_eq!(registry.holder(thumbprint, JUNE), Some(&clinic));
    assert_eq!(registry.holder(thumbprint, BlockTime(0)), None);
}

#[test]
fn m1_a_certificate_of_another_authority_is_refused() {
    let refused = Registry::from_genesis(&genesis(vec![member("clinic", true).0]));
    let clinic = "clinic".parse().unwrap();
    assert_eq!(
        refused.unwrap_err(),
        MembershipError::NotSignedByAuthority(clinic)
    );
}

#[test]
fn members_are_in_order_and_somebody_validates() {
    let refusal = |members| Registry::from_genesis(&genesis(members)).unwrap_err();
    let twice = vec![member("clinic", false).0, member("clinic", false).0];
    assert_eq!(refusal(twice), MembershipError::MembersNotInOrder);
    let silent = Member {
        validator: None,
        ..member("clinic", false).0
    };
    assert_eq!(refusal(vec![silent]), MembershipError::NoValidator);
    let garbage = Member {
        node: vec![1, 2, 3],
        ..member("clinic", false).0
    };
    let clinic = "clinic".parse().unwrap();
    assert_eq!(
        refusal(vec![garbage]),
        MembershipError::CertificateMalformed(clinic)
    );
}
