//! How a node finds its database.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Connections that views take at most, unless the configuration says otherwise.
const VIEWS: usize = 8;
const SCHEMA: &str = "careledger";
const SCHEMA_BYTES_MAX: usize = 63;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this long without an answer to a sign of life a connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A database of a PostgreSQL server, and the schema in it that is this node's own.
#[derive(Clone)]
pub struct PostgresqlConfig {
    pub(super) server: Box<tokio_postgres::Config>,
    pub(super) schema: String,
    pub(super) views: usize,
    /// Certificates of authorities, PEM; without them those of the system.
    pub(super) authorities: Option<PathBuf>,
}

/// Why a database is not one that a node keeps its records in. Holds nothing of the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresqlConfigError {
    /// It cannot be read.
    #[error("the URL of the database is malformed: {0}")]
    Url(String),
    /// A server elsewhere would be talked to in clear, or without knowing who it is.
    #[error(
        "the URL of the database says `sslmode={0}`: it is `verify-full`, or `disable` if the server is on this machine"
    )]
    Unprotected(String),
    /// It names no database.
    #[error(
        "the URL of the database names no host, user or database: postgresql://USER@HOST/DATABASE"
    )]
    Incomplete,
    /// It is no plain name.
    #[error("the schema of the database is not made of 1 to 63 lower-case letters, digits and `_`")]
    Schema,
}

impl PostgresqlConfig {
    /// Reads `postgresql://USER@HOST/DATABASE?sslmode=verify-full`. Without an `sslmode` a server on this machine is
    /// talked to in clear, and any other with `verify-full`.
    pub fn parse(url: &str) -> Result<Self, PostgresqlConfigError> {
        let is_url = ["postgresql://", "postgres://"];
        if !is_url.iter().any(|scheme| url.starts_with(scheme)) {
            let message = "it does not start with postgresql://";
            return Err(PostgresqlConfigError::Url(message.to_owned()));
        }
        let (url, mode) = without_sslmode(url);
        let mut server: tokio_postgres::Config = url
            .parse()
            .map_err(|error| PostgresqlConfigError::Url(cause(&error)))?;
        if server.get_hosts().is_empty()
            || server.get_user().is_none()
            || server.get_dbname().is_none()
        {
            return Err(PostgresqlConfigError::Incomplete);
        }
        let is_here = server.get_hosts().iter().all(is_this_machine);
        server.ssl_mode(match mode.as_deref() {
            Some("verify-full") => SslMode::Require,
            None if !is_here => SslMode::Require,
            None => SslMode::Disable,
            Some("disable") if is_here => SslMode::Disable,
            Some(mode) => return Err(PostgresqlConfigError::Unprotected(mode.to_owned())),
        });
        server
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(SILENCE_MAX);
        Ok(Self {
            server: Box::new(server),
            schema: SCHEMA.to_owned(),
            views: VIEWS,
            authorities: None,
        })
    }

    /// The password, if the URL has none.
    #[must_use]
    pub fn with_password(mut self, password: &[u8]) -> Self {
        self.server.password(password);
        self
    }

    /// Keeps the tables in this schema instead of `careledger`.
    pub fn with_schema(self, schema: &str) -> Result<Self, PostgresqlConfigError> {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = (1..=SCHEMA_BYTES_MAX).contains(&schema.len());
        if !fits || !schema.bytes().all(is_plain) {
            return Err(PostgresqlConfigError::Schema);
        }
        Ok(Self {
            schema: schema.to_owned(),
            ..self
        })
    }

    /// The file with the certificates of the authorities that the server's certificate may come from.
    #[must_use]
    pub fn with_authorities(self, pem: PathBuf) -> Self {
        Self {
            authorities: Some(pem),
            ..self
        }
    }

    /// How many searches may hold a view of the records at the same time; each takes a connection.
    #[must_use]
    pub fn with_views(self, views: usize) -> Self {
        Self {
            views: views.max(1),
            ..self
        }
    }
}

impl std::fmt::Debug for PostgresqlConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresqlConfig")
            .field("hosts", &self.server.get_hosts())
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// The client's library does not know `verify-full`.
fn without_sslmode(url: &str) -> (String, Option<String>) {
    let Some((before, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let mut mode = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix("sslmode=") {
            Some(value) => mode = Some(value.to_owned()),
            None => kept.push(pair),
        }
    }
    (format!("{before}?{}", kept.join("&")), mode)
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address: Option<IpAddr> = name.parse().ok();
            name == "localhost" || address.is_some_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// What lies at the bottom of an error: the library's own words do not say it.
pub(super) fn cause(error: &tokio_postgres::Error) -> String {
    let own = error.to_string();
    let deeper = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    deeper.fold(own, |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) {
            return text;
        }
        format!("{text}: {cause}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_talked_to_with_its_certificate_verified() {
        let mode = |url: &str| PostgresqlConfig::parse(url).map(|one| one.server.get_ssl_mode());
        let full = "postgresql://careledger@db.example.org/careledger?sslmode=verify-full";
        assert_eq!(mode(full), Ok(SslMode::Require));
        assert_eq!(
            mode("postgres://me@db.example.org/it"),
            Ok(SslMode::Require)
        );
        assert_eq!(mode("postgresql://me@127.0.0.1/it"), Ok(SslMode::Disable));
        assert_eq!(mode("postgresql://me@%2Frun%2Fpg/it"), Ok(SslMode::Disable));
        let both = "postgresql://me@localhost,db.example.org/it";
        assert_eq!(mode(both), Ok(SslMode::Require));
        for unprotected in ["disable", "prefer", "require", "verify-ca"] {
            let url = format!("postgresql://me@db.example.org/it?sslmode={unprotected}");
            let refused = PostgresqlConfigError::Unprotected(unprotected.to_owned());
            assert_eq!(mode(&url), Err(refused));
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let url = "postgresql://me:planted@db.example.org/it";
        let config = PostgresqlConfig::parse(url).unwrap();
        let config = config
            .with_password(b"planted")
            .with_schema("clinic")
            .unwrap();
        assert!(!format!("{config:?}").contains("planted"));
        for malformed in [
            "postgresql://me:planted@host:planted/it",
            "planted",
            "postgresql://planted",
        ] {
            let refused = PostgresqlConfig::parse(malformed).unwrap_err();
            assert!(!refused.to_string().contains("planted"), "{refused}");
        }
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        for schema in ["", "a\"b", "Clinic", "a b", &"a".repeat(64)] {
            let config = PostgresqlConfig::parse("postgresql://me@localhost/it").unwrap();
            let refused = config.with_schema(schema).unwrap_err();
            assert_eq!(refused, PostgresqlConfigError::Schema);
        }
    }
}
