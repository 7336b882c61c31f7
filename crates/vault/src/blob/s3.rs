//! Blobs in an S3-compatible object store.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use zeroize::Zeroizing;

use super::BlobError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest silence of the store. A total would cut off payloads of gigabytes.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const RETRIES_MAX: usize = 4;
/// After this nothing is tried again.
const RETRY_MAX: Duration = Duration::from_secs(20);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// A bucket, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket, which must be there.
    pub bucket: String,
    /// The store's URL; without one it is AWS's for the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// What the names of this node's objects begin with, so that a bucket can be shared; may be empty.
    pub prefix: String,
    /// Whether the bucket stands in the path of URLs instead of in the host's name.
    pub path_style: bool,
    /// Who asks.
    pub credentials: S3Credentials,
}

/// The keys of an S3 client.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum S3CredentialsError {
    /// A variable is not set.
    #[error("{0} is not set")]
    NotSet(&'static str),
    /// The file cannot be read.
    #[error("the credentials file cannot be read")]
    Unreadable(#[from] std::io::Error),
    /// The file lacks a key.
    #[error("the credentials file has no line `{0} = …`")]
    NotInFile(&'static str),
}

impl S3Credentials {
    /// These keys.
    pub fn new(access_key_id: &str, secret_access_key: &str, session_token: Option<&str>) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: Zeroizing::new(secret_access_key.to_owned()),
            session_token: session_token.map(|token| Zeroizing::new(token.to_owned())),
        }
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set, `AWS_SESSION_TOKEN`.
    pub fn from_environment() -> Result<Self, S3CredentialsError> {
        let variable = |name| std::env::var(name).map(Zeroizing::new);
        let needed = |name| variable(name).map_err(|_| S3CredentialsError::NotSet(name));
        let token = variable("AWS_SESSION_TOKEN").ok();
        Ok(Self::new(
            &needed("AWS_ACCESS_KEY_ID")?,
            &needed("AWS_SECRET_ACCESS_KEY")?,
            token.as_ref().map(|token| token.as_str()),
        ))
    }

    /// From a file as AWS's tools write it, of which the first section counts.
    pub fn from_file(path: &FilePath) -> Result<Self, S3CredentialsError> {
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        Self::from_lines(&text)
    }

    fn from_lines(text: &str) -> Result<Self, S3CredentialsError> {
        let mut sections = 0;
        let lines = text.lines().map(str::trim);
        let first = lines.take_while(|line| {
            sections += usize::from(line.starts_with('['));
            sections < 2
        });
        let pairs: Vec<_> = first
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let found = |name| {
            let pair = pairs
                .iter()
                .find(|(own, value)| *own == name && !value.is_empty());
            pair.map(|(_, value)| *value)
        };
        let needed = |name| found(name).ok_or(S3CredentialsError::NotInFile(name));
        Ok(Self::new(
            needed("aws_access_key_id")?,
            needed("aws_secret_access_key")?,
            found("aws_session_token"),
        ))
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials(..)")
    }
}

pub(super) fn connect(config: &S3Config) -> Result<Arc<dyn ObjectStore>, BlobError> {
    let credentials = &config.credentials;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_virtual_hosted_style_request(!config.path_style)
        .with_access_key_id(&credentials.access_key_id)
        .with_secret_access_key(credentials.secret_access_key.as_str())
        // Not every store knows the request that deletes many.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: BACKOFF_FIRST,
                max_backoff: BACKOFF_MAX,
                base: 2.0,
            },
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_MAX,
        });
    let mut client = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(SILENCE_MAX)
        .with_timeout_disabled();
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint);
        client = client.with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(token) = &credentials.session_token {
        builder = builder.with_token(token.as_str());
    }
    let bucket = builder.with_client_options(client).build();
    let bucket = bucket.map_err(|error| unavailable(&error))?;
    let prefix = Path::parse(&config.prefix)
        .map_err(|_| BlobError::Unavailable("the prefix is no path of an object".to_owned()))?;
    Ok(Arc::new(PrefixStore::new(bucket, prefix)))
}

/// Why the store does not serve, in words without what it answered beyond its status.
pub(super) fn unavailable(error: &object_store::Error) -> BlobError {
    use object_store::Error;
    let why = match error {
        Error::NotFound { .. } => "the bucket is not there".to_owned(),
        Error::PermissionDenied { .. } => "the credentials do not permit it".to_owned(),
        Error::Unauthenticated { .. } => "it does not know the credentials".to_owned(),
        other => {
            let deepest = deepest(other).to_string();
            // What follows is the store's own page.
            let text = deepest.split(['<', '\n']).next().unwrap_or_default();
            text.trim_end_matches([':', ' '])
                .chars()
                .take(200)
                .collect()
        }
    };
    BlobError::Unavailable(why)
}

fn deepest<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> &'e (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_from_the_first_section_and_never_shown() {
        let text = "[node]\naws_access_key_id = one\naws_secret_access_key=two\n[other]\naws_session_token = three\n";
        let read = S3Credentials::from_lines(text).unwrap();
        assert_eq!(read, S3Credentials::new("one", "two", None));
        assert_eq!(format!("{read:?}"), "S3Credentials(..)");
        let cut = S3Credentials::from_lines("aws_access_key_id = one\naws_secret_access_key =\n");
        assert!(matches!(
            cut,
            Err(S3CredentialsError::NotInFile("aws_secret_access_key"))
        ));
    }
}
