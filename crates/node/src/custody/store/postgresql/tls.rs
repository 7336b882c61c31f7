//! TLS to the server, by the certificate that its name is in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::oid_registry::{
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::PostgresqlConfig;
use crate::custody::store::Failure;

/// Makes connections that are private and go to the server that is meant.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

/// A server that is to prove its name.
pub(super) struct Named {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// A private connection.
pub(super) struct Private<S>(TlsStream<S>);

impl Tls {
    pub(super) fn of(config: &PostgresqlConfig) -> Result<Self, Failure> {
        let refused = |error: String| Failure::Refused(format!("TLS to the database: {error}"));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?;
        let verified = match &config.authorities {
            Some(file) => {
                let mut roots = RootCertStore::empty();
                let certificates = CertificateDer::pem_file_iter(file)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| refused(format!("{}: {error}", file.display())))?;
                let (added, _) = roots.add_parsable_certificates(certificates);
                if added == 0 {
                    let message = format!("{} holds no certificate", file.display());
                    return Err(refused(message));
                }
                builder.with_root_certificates(roots)
            }
            None => {
                let verified = builder.with_platform_verifier();
                verified.map_err(|error| refused(error.to_string()))?
            }
        };
        Ok(Self(Arc::new(verified.with_no_client_auth())))
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Private<S>;
    type TlsConnect = Named;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Named, Self::Error> {
        Ok(Named {
            connector: Arc::clone(&self.0).into(),
            name: ServerName::try_from(domain)?.to_owned(),
        })
    }
}

impl<S> TlsConnect<S> for Named
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Private<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Private<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.connector.connect(self.name, stream);
        Box::pin(async move { Ok(Private(connecting.await?)) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Private<S> {
    /// RFC 5929 `tls-server-end-point`: a password's proof is for this certificate.
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let bound = certificate.and_then(|one| {
            let algorithm = hash_of(one)?;
            Some(digest::digest(algorithm, one).as_ref().to_vec())
        });
        bound.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The hash of the certificate's signature; none for those without, such as Ed25519.
fn hash_of(certificate: &[u8]) -> Option<&'static digest::Algorithm> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let signature = &certificate.signature_algorithm.algorithm;
    let of = [
        (OID_PKCS1_SHA256WITHRSA, &digest::SHA256),
        (OID_SIG_ECDSA_WITH_SHA256, &digest::SHA256),
        (OID_PKCS1_SHA384WITHRSA, &digest::SHA384),
        (OID_SIG_ECDSA_WITH_SHA384, &digest::SHA384),
        (OID_PKCS1_SHA512WITHRSA, &digest::SHA512),
        (OID_SIG_ECDSA_WITH_SHA512, &digest::SHA512),
    ];
    let found = of.into_iter().find(|(oid, _)| oid == signature);
    found.map(|(_, algorithm)| algorithm)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Private<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Private<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
