//! What is served where.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};
use interop::fhir::audit::AuditSite;
use interop::fhir::profile::Profiles;
use interop::fhir::{Checking, IssueType};
use ledger::ids::MemberName;
use node::chain::{PublicLog, Snapshots};
use node::custody::{Anchor, Custody};
use node::terminology::Vocabularies;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::{self, AuthConfig, AuthorizationServer, Backing, ClientConfig};
use crate::auth::{ClientConfigError, ClientRegistry, Clock, RowsUnavailable, SignIn, TokenSigner};
use crate::bulk::{self, Bulk, ImportConfig};
use crate::dicom_web::{self, Archive, ArchiveConfig, ArchiveConfigError};
use crate::emergency::{self, EmergencyConfig, EmergencyConfigError};
use crate::enrolment::MemberKey;
use crate::fhir::{self, Fhir, NoCursorKey, Refusals, Sessions, WriteRules};
use crate::forwarding::{self, ForwardConfig, ForwardConfigError};
use crate::http::{Bounds, RequestLimits, observe};
use crate::log;
use crate::members;
use crate::metrics::Metrics;
use crate::mllp::{self, Mllp, MllpListener};
use crate::network::Network;
use crate::problem::{self, Problem};
use crate::scitt::{self, Scitt};
use crate::share;
use crate::snapshot::{self, Served};
use crate::status::{self, NodeIdentity, StatusRoutes, StatusSource};
use crate::subscription::{self, SubscriptionConfig, Subscriptions};

/// What a gateway is made of.
pub struct GatewayParts {
    /// The node's public base URL, such as `http://127.0.0.1:8101`.
    pub base_url: String,
    /// Who the node is.
    pub identity: NodeIdentity,
    /// The records.
    pub custody: Custody,
    /// The ledger.
    pub ledger: Arc<dyn Anchor>,
    /// The same log as strangers read it.
    pub log: Arc<dyn PublicLog>,
    /// What nodes that join take over.
    pub snapshots: Arc<dyn Snapshots>,
    /// The other members.
    pub network: Arc<dyn Network>,
    /// How the node is.
    pub status: StatusSource,
    /// The systems that may ask for tokens.
    pub clients: Vec<ClientConfig>,
    /// How people sign in.
    pub sign_in: SignIn,
    /// Signs tokens.
    pub signer: TokenSigner,
    /// How long tokens live.
    pub token_seconds: u64,
    /// What tokens are judged by.
    pub clock: Clock,
    /// Opens what wallets seal to this member.
    pub member_key: MemberKey,
    /// What resources may claim to keep beside R4.
    pub profiles: Profiles,
    /// How what is written is held against R4 and those profiles.
    pub checking: Checking,
    /// How much one client may ask for.
    pub limits: RequestLimits,
    /// Whether `/metrics` is served beside `/fhir`; otherwise by [`Gateway::admin_router`] alone.
    pub serves_metrics: bool,
    /// How subscribers are told.
    pub subscriptions: SubscriptionConfig,
    /// Where imports come from.
    pub import: ImportConfig,
    /// How emergencies are declared and reviewed.
    pub emergency: EmergencyConfig,
    /// Where the audit log goes beside this node.
    pub forward: ForwardConfig,
    /// Code systems, value sets and concept maps that are loaded.
    pub vocabularies: Vocabularies,
    /// Where messages of HL7 v2 are taken in.
    pub mllp: Vec<MllpListener>,
    /// Where the member's images are.
    pub archive: ArchiveConfig,
}

/// Why a gateway cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// A client cannot work.
    #[error(transparent)]
    Client(#[from] ClientConfigError),
    /// Grants and revocations cannot be read.
    #[error(transparent)]
    Authorization(#[from] RowsUnavailable),
    /// There is no randomness.
    #[error(transparent)]
    Cursor(#[from] NoCursorKey),
    /// Emergencies cannot be declared like this.
    #[error(transparent)]
    Emergency(#[from] EmergencyConfigError),
    /// The audit log cannot be forwarded like this.
    #[error(transparent)]
    Forward(#[from] ForwardConfigError),
    /// The image archive cannot be asked like this.
    #[error(transparent)]
    Archive(#[from] ArchiveConfigError),
    /// Messages that were accepted cannot be read.
    #[error("messages that were accepted cannot be read: {0}")]
    Messages(String),
}

/// The routes of one node.
#[derive(Debug)]
pub struct Gateway {
    router: Router,
    admin: Router,
    mllp: Mllp,
}

impl Gateway {
    /// A gateway of these parts.
    pub fn new(mut parts: GatewayParts) -> Result<Self, GatewayError> {
        let base_url = parts.base_url.trim_end_matches('/').to_owned();
        let rules = write_rules(&mut parts);
        let bulk = bulk_jobs(&parts, &rules, &base_url);
        let subscriptions = subscriptions(&parts, &base_url);
        let forwarding = forwarding(&parts, &base_url)?;
        let config = auth_config(&parts, &base_url);
        let clients = ClientRegistry::new(parts.clients, parts.custody.clone())?;
        let backing = backing(&parts.custody, parts.sign_in);
        let clock = parts.clock.clone();
        let server = AuthorizationServer::new(config, clients, parts.signer, clock, backing);
        let server = Arc::new(server?);
        let emergencies = emergencies(parts.emergency, &parts.custody, &server, &base_url)?;
        let archive = Archive::open(&parts.archive)?;
        let (identity, metrics) = (Arc::new(parts.identity), Arc::new(Metrics::new()));
        let fhir_url = format!("{base_url}/fhir");
        let links = share::routes(parts.custody.clone(), parts.clock.clone(), &base_url);
        let kept = Sessions::of(&parts.custody, &identity.member);
        let sessions = from_fn_with_state(kept, fhir::keep_sessions);
        let refused = Refusals::of(&parts.custody, identity.member.as_str());
        let refusals = from_fn_with_state(refused, fhir::note_refusals);
        let fhir = Arc::new(Fhir {
            custody: parts.custody,
            network: parts.network,
            identity: Arc::clone(&identity),
            member_key: parts.member_key.clone(),
            base: fhir_url,
            token_url: format!("{base_url}/oauth2/token"),
            authorization_url: server.authorization_url(),
            cursors: fhir::Cursors::new()?,
            conditional: fhir::Conditions::default(),
            lists: fhir::Lists::default(),
            rules,
            vocabularies: parts.vocabularies,
        });
        let filed = (fhir.custody.clone(), fhir::bundles(&fhir));
        let (of, counted) = (Arc::clone(&server), Arc::clone(&metrics));
        let (mllp, filing) = Mllp::start(filed, of, counted, parts.mllp)
            .map_err(|error| GatewayError::Messages(error.to_string()))?;
        let status = StatusRoutes::of(parts.status, (identity, parts.member_key), &metrics);
        let ledger = about_the_ledger(
            status.identity.member.clone(),
            (parts.ledger, parts.log),
            parts.snapshots,
        );
        let admin = admin_routes(&status);
        let bounds = Arc::new(Bounds::new(parts.limits));
        let open = parts.serves_metrics.then(|| admin.clone());
        let open = open.unwrap_or_else(|| probes().with_state(status.clone()));
        let images = (Arc::clone(&fhir), archive);
        let images = dicom_web::routes(images, Arc::clone(&server), Arc::clone(&bounds), &base_url);
        let public = fhir::routes(fhir, Arc::clone(&server), bounds)
            .merge(images)
            .merge(bulk::routes(bulk, Arc::clone(&server)))
            .merge(subscription::routes(subscriptions, Arc::clone(&server)))
            .merge(emergencies)
            .merge(mllp::routes(&mllp, filing, Arc::clone(&server)))
            .layer(refusals)
            // It ends with the last route.
            .layer(Extension(Arc::new(forwarding)))
            // A fallback that is put in later would stand outside the layer, and preflights come to it.
            .method_not_allowed_fallback(method_not_allowed)
            .layer(auth::cors(Arc::clone(&server)))
            .merge(auth::routes(server).layer(sessions))
            .merge(links)
            .merge(ledger)
            .merge(about().with_state(status))
            .merge(open);
        Ok(Self {
            router: outer(public, &metrics),
            admin: outer(admin, &metrics),
            mllp,
        })
    }

    /// Messages of HL7 v2, for listeners.
    pub fn mllp(&self) -> Mllp {
        self.mllp.clone()
    }

    /// Everything for the outside.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// `/metrics`, `/health` and `/ready` for a listener of their own.
    pub fn admin_router(&self) -> Router {
        self.admin.clone()
    }
}

impl fmt::Debug for GatewayParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayParts")
            .field("base_url", &self.base_url)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is ready, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown)
        .await
}

fn auth_config(parts: &GatewayParts, base_url: &str) -> AuthConfig {
    AuthConfig {
        base_url: base_url.to_owned(),
        member: parts.identity.member.clone(),
        token_seconds: parts.token_seconds,
    }
}

fn subscriptions(parts: &GatewayParts, base_url: &str) -> Subscriptions {
    Subscriptions::start(
        parts.custody.clone(),
        Arc::clone(&parts.ledger),
        parts.identity.member.clone(),
        format!("{base_url}/fhir"),
        parts.clock.clone(),
        parts.subscriptions.clone(),
    )
}

/// What takes the audit log to another repository.
fn forwarding(parts: &GatewayParts, base_url: &str) -> Result<JoinSet<()>, ForwardConfigError> {
    let site = AuditSite {
        base: format!("{base_url}/fhir"),
        member: parts.identity.member.to_string(),
    };
    forwarding::start(parts.custody.clone(), site, parts.forward.clone())
}

/// `/metrics` and the probes.
fn admin_routes(status: &StatusRoutes) -> Router {
    let metered = Router::new().route("/metrics", get(status::metrics));
    metered.merge(probes()).with_state(status.clone())
}

fn write_rules(parts: &mut GatewayParts) -> WriteRules {
    WriteRules {
        checking: parts.checking,
        profiles: Arc::new(std::mem::take(&mut parts.profiles)),
        body_bytes: parts.limits.body_bytes,
    }
}

fn bulk_jobs(parts: &GatewayParts, rules: &WriteRules, base_url: &str) -> Bulk {
    Bulk::start(
        parts.custody.clone(),
        parts.identity.member.clone(),
        format!("{base_url}/fhir"),
        parts.clock.clone(),
        (&parts.import, rules.clone()),
    )
}

/// Declaring emergencies, and reviewing them.
fn emergencies(
    config: EmergencyConfig,
    custody: &Custody,
    server: &Arc<AuthorizationServer>,
    base_url: &str,
) -> Result<Router, EmergencyConfigError> {
    config.check()?;
    let base = format!("{base_url}/fhir");
    let (custody, server) = (custody.clone(), Arc::clone(server));
    Ok(emergency::routes(custody, server, base, config))
}

/// What the authorization server works with.
fn backing(custody: &Custody, sign_in: SignIn) -> Backing {
    Backing {
        rows: Box::new(custody.clone()),
        patients: Box::new(custody.clone()),
        sign_in,
    }
}

/// What is served of the ledger, to anybody.
fn about_the_ledger(
    member: MemberName,
    (ledger, log): (Arc<dyn Anchor>, Arc<dyn PublicLog>),
    snapshots: Arc<dyn Snapshots>,
) -> Router {
    let scitt = Scitt {
        member,
        ledger: Arc::clone(&ledger),
        log: Arc::clone(&log),
    };
    public_log(ledger, log)
        .merge(joining(snapshots))
        .merge(scrapi(scitt))
}

fn public_log(ledger: Arc<dyn Anchor>, published: Arc<dyn PublicLog>) -> Router {
    let published = Router::new()
        .route("/log/checkpoint", get(log::checkpoint))
        .route("/log/witnessed", get(log::witnessed))
        .route("/log/tile/{*path}", get(log::tile))
        .route("/log/blocks/{height}", get(log::block))
        .route("/network/members", get(members::members))
        .route("/network/succession", get(members::succession))
        .with_state(published);
    Router::new()
        .route("/log/tip", get(log::tip))
        .route("/log/statements", post(log::submit))
        .layer(DefaultBodyLimit::max(log::STATEMENT_BYTES_MAX))
        .with_state(ledger)
        .merge(published)
}

fn joining(served: Arc<dyn Snapshots>) -> Router {
    let at = "/network/snapshot/{height}";
    Router::new()
        .route("/network/snapshot", get(snapshot::offer))
        .route(&format!("{at}/leaves/{{from}}"), get(snapshot::leaves))
        .route(&format!("{at}/state/{{from}}"), get(snapshot::state))
        .route(
            &format!("{at}/statements/{{member}}/{{from}}"),
            get(snapshot::statements),
        )
        .route("/network/statements/{index}", get(snapshot::statement))
        .with_state(Served::new(served))
}

fn scrapi(scitt: Scitt) -> Router {
    Router::new()
        .route("/.well-known/scitt-keys", get(scitt::keys))
        .route("/.well-known/scitt-keys/{kid}", get(scitt::key))
        .route("/scitt/entries", post(scitt::register))
        .layer(DefaultBodyLimit::max(log::STATEMENT_BYTES_MAX))
        .route("/scitt/entries/{id}", get(scitt::entry))
        .route(
            "/scitt/signed-statements/{id}",
            get(scitt::signed_statement),
        )
        .route("/scitt/consistency/{size}", get(scitt::consistency))
        .with_state(scitt)
}

fn about() -> Router<StatusRoutes> {
    Router::new().route("/.well-known/careledger", get(status::careledger))
}

fn probes() -> Router<StatusRoutes> {
    Router::new()
        .route("/health", get(status::health))
        .route("/ready", get(status::ready))
}

/// What every answer has, whatever it is.
fn outer(router: Router, metrics: &Arc<Metrics>) -> Router {
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(problem::of_panic))
        .layer(from_fn_with_state(Arc::clone(metrics), observe))
}

pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        IssueType::NotSupported,
        "the URL does not support this method",
    )
}
