//! TLS 1.3 with the certificates of the membership registry: a peer is the member that the ledger says it is.

use std::sync::Arc;

use contracts::membership::Registry;
use ledger::ids::{Digest, MemberName};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::TlsAcceptor;

use crate::chain::Chain;
use crate::identity::Identity;

/// Who is known: the members whose certificates the ledger holds, at the time of its last block.
#[derive(Clone)]
pub(super) struct Peers {
    chain: Chain,
    provider: Arc<CryptoProvider>,
    /// The one member that may answer, on the client's side.
    expected: Option<MemberName>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl Peers {
    pub(super) fn new(chain: Chain) -> Self {
        Self {
            chain,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            expected: None,
        }
    }

    pub(super) fn only(&self, member: &MemberName) -> Self {
        Self {
            expected: Some(member.clone()),
            ..self.clone()
        }
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        self.chain.registry()
    }

    /// The member that holds this certificate now.
    pub(super) fn member(&self, certificate: &[u8]) -> Option<MemberName> {
        let time = self.chain.tip().time;
        let registry = self.chain.registry();
        registry.holder(Digest::of(certificate), time).cloned()
    }

    /// Waits until the certificate is nobody's any more: expired, revoked, or of a member that is not heard.
    pub(super) async fn until_unknown(&self, certificate: &[u8]) {
        let mut tips = self.chain.subscribe();
        while self.member(certificate).is_some() {
            if tips.changed().await.is_err() {
                return;
            }
        }
    }

    fn admit(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let member = self.member(certificate);
        let is_expected = match (&member, &self.expected) {
            (Some(_), None) => true,
            (member, expected) => member.is_some() && member == expected,
        };
        if is_expected {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

/// What a server's and a client's certificate are checked for alike.
macro_rules! tls13_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.3 alone is spoken".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let algorithms = &self.provider.signature_verification_algorithms;
            algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Peers {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.admit(certificate)?;
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures!();
}

impl ClientCertVerifier for Peers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.admit(certificate)?;
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures!();
}

/// The side that is called: whoever calls must be a member.
pub(super) fn server(identity: &Identity, peers: &Peers) -> Result<TlsAcceptor, Error> {
    let config = ServerConfig::builder_with_provider(Arc::clone(&peers.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(peers.clone()))
        .with_cert_resolver(Arc::new(identity.clone()));
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The side that calls `member`: nobody else is talked to.
pub(super) fn client(
    identity: &Identity,
    peers: &Peers,
    member: &MemberName,
) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::clone(&peers.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(peers.only(member)))
        .with_client_cert_resolver(Arc::new(identity.clone()));
    Ok(config)
}
