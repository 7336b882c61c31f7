//! Certificates for private connections of HL7 v2.

use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// In PEM.
pub(crate) struct Pki {
    pub(crate) authority: String,
    /// Certificate and key of a listener at `localhost`.
    pub(crate) listener: (String, String),
    /// Certificate and key of a sender.
    pub(crate) sender: (String, String),
}

/// The same for all tests of a process.
pub(crate) fn pki() -> &'static Pki {
    static MADE: OnceLock<Pki> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let issued = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let (listener, sender) = (issued("localhost"), issued("sender.example"));
        Pki {
            authority,
            listener,
            sender,
        }
    })
}
