use ed25519_zebra::{SigningKey, VerificationKey};
use ledger::genesis::{Member, PublicKey};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm, date_time_ymd,
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
    let validator = Some(vote(7));
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

/// A member's certification authority.
pub(crate) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A certificate of a fresh key, valid for the year.
    pub(crate) fn certify(&self, name: &str, year: i32) -> Vec<u8> {
        self.certify_key(&KeyPair::generate_for(&PKCS_ED25519).unwrap(), name, year)
    }

    /// A certificate of `key`, valid for the year.
    pub(crate) fn certify_key(&self, key: &KeyPair, name: &str, year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(year, 1, 1);
        params.not_after = date_time_ymd(year + 1, 1, 1);
        params.signed_by(key, &self.0).unwrap().der().to_vec()
    }
}

/// A member, and what its certificates are issued with.
pub(crate) fn member_with_authority(name: &str) -> (Member, Authority) {
    member_with(name, &PKCS_ED25519)
}

/// The same, with an authority whose key is of this kind.
pub(crate) fn member_with(name: &str, kind: &'static SignatureAlgorithm) -> (Member, Authority) {
    let (certificate, issuer) = authority_of(kind);
    let authority = Authority(issuer);
    let member = Member {
        name: name.parse().unwrap(),
        authority: certificate,
        node: authority.certify(name, 2026),
        validator: Some(vote(7)),
        cosigner: None,
    };
    (member, authority)
}

/// A validator's key.
pub(crate) fn vote(seed: u8) -> PublicKey {
    let key = SigningKey::from_bytes(&[seed; 32]);
    PublicKey(VerificationKey::from(&key).into())
}

fn authority() -> (Vec<u8>, Issuer<'static, KeyPair>) {
    authority_of(&PKCS_ED25519)
}

fn authority_of(kind: &'static SignatureAlgorithm) -> (Vec<u8>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate_for(kind).unwrap();
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
        rules: None,
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
        MembershipError::Certificate(clinic, CertificateError::NotSignedByAuthority)
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
        MembershipError::Certificate(clinic, CertificateError::Malformed)
    );
}

#[test]
fn m2_a_certificate_has_one_form_so_that_none_returns_after_it_is_revoked() {
    let (clinic, _) = member("clinic", false);
    let issued = |node: &[u8]| NodeCertificate::issued(node, &clinic.authority).map(|_| ());
    assert_eq!(issued(&clinic.node), Ok(()));
    // Before the 64 bytes of the signature: the algorithm, and the BIT STRING's head, none of which is signed.
    let head = clinic.node.len() - 64;
    for at in head - 10..head {
        let mut other = clinic.node.clone();
        other[at] ^= 1;
        assert_eq!(issued(&other), Err(CertificateError::Malformed), "{at}");
    }
    let (start, rest) = clinic.node.split_at(2);
    assert_eq!(start, [0x30, 0x82], "a length of two bytes");
    let longer = [&[0x30, 0x83, 0], rest].concat();
    assert_eq!(issued(&longer), Err(CertificateError::Malformed));
}

#[test]
fn authorities_and_nodes_have_ed25519_or_p256_keys() {
    for of_authority in [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256] {
        let (clinic, authority) = member_with("clinic", of_authority);
        for kind in [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256] {
            let key = KeyPair::generate_for(kind).unwrap();
            let node = authority.certify_key(&key, "clinic", 2026);
            let issued = NodeCertificate::issued(&node, &clinic.authority).unwrap();
            assert_eq!(issued.key.to_bytes(), key.public_key_raw());
        }
        let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let node = authority.certify_key(&other, "clinic", 2026);
        let refused = NodeCertificate::issued(&node, &clinic.authority);
        assert_eq!(refused, Err(CertificateError::Malformed));
        let (stranger, _) = member_with("clinic", of_authority);
        let refused = NodeCertificate::issued(&clinic.node, &stranger.authority);
        assert_eq!(refused, Err(CertificateError::NotSignedByAuthority));
    }
}

#[test]
fn p9_a_changed_byte_of_a_certificate_of_a_p256_authority_never_passes() {
    let (clinic, _) = member_with("clinic", &PKCS_ECDSA_P256_SHA256);
    for at in 0..clinic.node.len() {
        let mut changed = clinic.node.clone();
        changed[at] ^= 1;
        let issued = NodeCertificate::issued(&changed, &clinic.authority);
        assert!(issued.is_err(), "byte {at}");
    }
}

/// The same certificate with the other value of `s` in its signature: whoever sees it can make it.
pub(crate) fn other_form(certificate: &[u8]) -> Vec<u8> {
    use p256::ecdsa::Signature;
    // An element with a length of two bytes, an algorithm of 12 bytes, and a signature of 70 to 72 in a BIT STRING.
    let written = (70..=72).find_map(|length| {
        let at = certificate.len() - length;
        let signature = Signature::from_der(&certificate[at..]).ok()?;
        Some((at, signature))
    });
    let (at, signature) = written.unwrap();
    let (r, s) = signature.split_scalars();
    let other = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let signature = other.to_der();
    let signed = &certificate[4..at - 3];
    let bits = u8::try_from(signature.as_bytes().len() + 1).unwrap();
    let content = [signed, &[0x03, bits, 0], signature.as_bytes()].concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82], length.as_slice(), &content].concat()
}
