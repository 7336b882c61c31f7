//! Private connections of senders, who may have to show certificates, and to receivers.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

/// The listener's side of TLS 1.2 or 1.3.
#[derive(Clone)]
pub struct MllpTls(TlsAcceptor);

/// The sender's side of TLS 1.2 or 1.3.
#[derive(Clone)]
pub struct MllpClientTls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Files that do not make a connection's TLS.
#[derive(Debug, thiserror::Error)]
pub enum MllpTlsError {
    /// The certificates.
    #[error("the file of certificates holds none in PEM")]
    Certificates,
    /// The key.
    #[error("the key file holds no private key in PEM")]
    Key,
    /// Who senders' certificates are from.
    #[error("the file of authorities holds none in PEM")]
    Authorities,
    /// They do not belong together.
    #[error("{0}")]
    Refused(String),
}

impl MllpTls {
    /// From PEM: the listener's certificate with its chain, its key, and, if senders have to show certificates, whose.
    pub fn new(
        certificates: &[u8],
        key: &[u8],
        authorities: Option<&[u8]>,
    ) -> Result<Self, MllpTlsError> {
        let (chain, key) = identity(certificates, key)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots(pem)?, provider);
                let verifier = verifier
                    .build()
                    .map_err(|error| refused(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(chain, key)
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

impl MllpClientTls {
    /// From PEM: whose certificate the receiver has to show, for this name, and the sender's own certificate and key if it has
    /// to show one.
    pub fn new(
        authorities: &[u8],
        own: Option<(&[u8], &[u8])>,
        name: &str,
    ) -> Result<Self, MllpTlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?
            .with_root_certificates(roots(authorities)?);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => {
                let (chain, key) = identity(certificates, key)?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|error| refused(error.to_string()))?
            }
        };
        let name = ServerName::try_from(name.to_owned());
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: name.map_err(|error| refused(error.to_string()))?,
        })
    }

    pub(super) async fn connect(
        &self,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

fn refused(error: String) -> MllpTlsError {
    MllpTlsError::Refused(error)
}

/// A certificate with its chain, and its key.
fn identity(
    certificates: &[u8],
    key: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), MllpTlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|_| MllpTlsError::Certificates)?;
    if chain.is_empty() {
        return Err(MllpTlsError::Certificates);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| MllpTlsError::Key)?;
    Ok((chain, key))
}

fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, MllpTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| MllpTlsError::Authorities)?;
        roots
            .add(certificate)
            .map_err(|_| MllpTlsError::Authorities)?;
    }
    if roots.is_empty() {
        return Err(MllpTlsError::Authorities);
    }
    Ok(Arc::new(roots))
}

impl fmt::Debug for MllpClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MllpClientTls(..)")
    }
}

impl fmt::Debug for MllpTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MllpTls(..)")
    }
}
