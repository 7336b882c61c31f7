//! `[search]`, `[consent]`, `[validation]`, `[release]`, `[limits]`, `[emergency]`, `[audit]` and `[terminology]` in
//! `node.toml`: how the FHIR API behaves.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use contracts::access::Implicit;
use gateway::{EmergencyConfig, ForwardConfig, RequestLimits};
use interop::fhir::Checking;
use serde::{Deserialize, Serialize};

/// What searches find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SearchEntry {
    /// Whether the words of everything are kept for `_content`, not those of narratives alone. The index is made anew when
    /// it changes.
    pub(crate) full_text: bool,
}

/// What a committee can release while this member does not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReleaseEntry {
    /// Members that keep copies of what is written here.
    pub(crate) copies_at: Vec<String>,
}

/// What counts where patients have said nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConsentEntry {
    /// Which of IHE PCF's implicit policies is in force.
    implicit: ImplicitPolicy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ImplicitPolicy {
    #[default]
    BreakGlassOnly,
    BasicNormal,
    AllNormal,
    Deny,
}

impl ConsentEntry {
    pub(crate) fn implicit(self) -> Implicit {
        match self.implicit {
            ImplicitPolicy::BreakGlassOnly => Implicit::BreakGlassOnly,
            ImplicitPolicy::BasicNormal => Implicit::BasicNormal,
            ImplicitPolicy::AllNormal => Implicit::AllNormal,
            ImplicitPolicy::Deny => Implicit::Deny,
        }
    }
}

/// How what is written is held against R4 and the profiles that it claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ValidationEntry {
    mode: Mode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Strict,
    Lenient,
}

/// What is done with the codes of what is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct TerminologyEntry {
    /// The canonical URLs of the concept maps by which local codes are mapped on the way in.
    pub(crate) map_on_write: Vec<String>,
}

/// How much a client may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsEntry {
    /// Requests of one client a second, sustained; as many may come at once.
    requests_per_second: NonZeroU32,
    /// The longest time that a request may take.
    request_seconds: NonZeroU64,
    /// The longest body.
    body_mebibytes: NonZeroU32,
}

impl ValidationEntry {
    pub(crate) fn checking(self) -> Checking {
        match self.mode {
            Mode::Strict => Checking::Strict,
            Mode::Lenient => Checking::Lenient,
        }
    }
}

impl Default for LimitsEntry {
    /// As [`RequestLimits`] has it.
    fn default() -> Self {
        let limits = RequestLimits::default();
        let mebibytes = u32::try_from(limits.body_bytes >> 20).ok();
        Self {
            requests_per_second: limits.per_second,
            request_seconds: NonZeroU64::new(limits.time.as_secs()).unwrap_or(NonZeroU64::MIN),
            body_mebibytes: mebibytes
                .and_then(NonZeroU32::new)
                .unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl LimitsEntry {
    pub(crate) fn limits(self) -> anyhow::Result<RequestLimits> {
        let mebibytes = usize::try_from(self.body_mebibytes.get())?;
        let body_bytes = mebibytes.checked_mul(1 << 20);
        let body_bytes = body_bytes.filter(|_| mebibytes <= BODY_MEBIBYTES_MAX);
        Ok(RequestLimits {
            per_second: self.requests_per_second,
            time: Duration::from_secs(self.request_seconds.get()),
            body_bytes: body_bytes.ok_or_else(|| {
                anyhow::anyhow!(
                    "`body_mebibytes` of [limits] in node.toml is at most {BODY_MEBIBYTES_MAX}: bodies are read whole"
                )
            })?,
        })
    }
}

/// Bodies of several requests are in memory at once.
const BODY_MEBIBYTES_MAX: usize = 256;

/// How emergencies are declared and reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EmergencyEntry {
    /// For how many minutes, unless the declaration says.
    minutes: u64,
    /// The most that a declaration may say; 240 in the network.
    minutes_max: u64,
    /// The types that are opened, unless the declaration says.
    types: Vec<String>,
    /// The roles that review.
    reviewers: Vec<String>,
    /// Hours until a declaration has to be reviewed.
    review_hours: NonZeroU32,
}

impl Default for EmergencyEntry {
    /// As [`EmergencyConfig`] has it.
    fn default() -> Self {
        let config = EmergencyConfig::default();
        Self {
            minutes: config.minutes,
            minutes_max: config.minutes_max,
            types: config.types,
            reviewers: config.reviewers,
            review_hours: REVIEW_HOURS,
        }
    }
}

impl EmergencyEntry {
    pub(crate) fn config(&self) -> EmergencyConfig {
        EmergencyConfig {
            minutes: self.minutes,
            minutes_max: self.minutes_max,
            types: self.types.clone(),
            reviewers: self.reviewers.clone(),
        }
    }

    pub(crate) fn review_ms(&self) -> u64 {
        u64::from(self.review_hours.get()).saturating_mul(3_600_000)
    }
}

/// Where the audit log goes beside this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditEntry {
    /// The address to which batches of events are posted.
    forward: Option<String>,
    /// A file with the bearer token that the repository asks for.
    token_file: Option<PathBuf>,
    /// A file with the node's certificate for it, and the key (PEM).
    certificate_file: Option<PathBuf>,
    /// A file with the authorities that certify the repository, instead of the system's (PEM).
    authorities_file: Option<PathBuf>,
}

impl AuditEntry {
    /// Paths are from the configuration's folder.
    pub(crate) fn config(&self, folder: &Path) -> ForwardConfig {
        let path = |file: &Option<PathBuf>| file.as_ref().map(|file| folder.join(file));
        ForwardConfig {
            to: self.forward.clone(),
            token: path(&self.token_file),
            certificate: path(&self.certificate_file),
            authorities: path(&self.authorities_file),
            ..ForwardConfig::default()
        }
    }
}

/// Three days.
const REVIEW_HOURS: NonZeroU32 = NonZeroU32::MIN.saturating_add(71);

/// Whether an entry says nothing, and is left out where it is written.
pub(crate) fn is_default<T: Default + PartialEq>(entry: &T) -> bool {
    *entry == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        search: SearchEntry,
        #[serde(default)]
        consent: ConsentEntry,
        #[serde(default)]
        validation: ValidationEntry,
        #[serde(default)]
        limits: LimitsEntry,
        #[serde(default)]
        emergency: EmergencyEntry,
        #[serde(default)]
        audit: AuditEntry,
    }

    fn file(text: &str) -> Result<File, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn what_is_said_counts_and_what_is_not_has_its_default() {
        let default = file("").unwrap();
        assert!(!default.search.full_text);
        assert_eq!(default.consent.implicit(), Implicit::default());
        for policy in Implicit::ALL {
            let said = file(&format!("[consent]\nimplicit = \"{}\"", policy.name())).unwrap();
            assert_eq!(said.consent.implicit(), policy);
        }
        assert_eq!(default.validation.checking(), Checking::Strict);
        assert_eq!(default.limits.limits().unwrap(), RequestLimits::default());
        assert_eq!(default.emergency.config(), EmergencyConfig::default());
        assert_eq!(default.emergency.review_ms(), 72 * 3_600_000);
        assert_eq!(default.audit.config(Path::new(".")).to, None);
        let said = file(
            "[search]\nfull_text = true\n[validation]\nmode = \"lenient\"\n\
             [limits]\nrequests_per_second = 5\nbody_mebibytes = 1\n\
             [audit]\nforward = \"https://arr.example/fhir\"\ntoken_file = \"arr.token\"",
        );
        let said = said.unwrap();
        assert!(said.search.full_text);
        let forward = said.audit.config(Path::new("net/clinic"));
        assert_eq!(forward.to.as_deref(), Some("https://arr.example/fhir"));
        assert_eq!(forward.token, Some(PathBuf::from("net/clinic/arr.token")));
        assert_eq!(said.validation.checking(), Checking::Lenient);
        let limits = said.limits.limits().unwrap();
        assert_eq!((limits.per_second.get(), limits.body_bytes), (5, 1 << 20));
        assert_eq!(limits.time, RequestLimits::default().time);
    }

    #[test]
    fn what_is_misspelt_or_without_sense_is_refused() {
        for text in [
            "[search]\nfulltext = true",
            "[search]\nfull_text = 1",
            "[consent]\nimplicit = \"permit\"",
            "[validation]\nmode = \"loose\"",
            "[validation]\nmodus = \"strict\"",
            "[limits]\nrequest_per_second = 5",
            "[limits]\nrequests_per_second = 0",
            "[limits]\nrequest_seconds = 0",
            "[limits]\nbody_mebibytes = -1",
            "[emergency]\nreview_hours = 0",
            "[emergency]\nhours = 1",
            "[audit]\nforwards = \"https://arr.example\"",
        ] {
            assert!(file(text).is_err(), "{text}");
        }
        let large = file("[limits]\nbody_mebibytes = 257").unwrap();
        assert!(large.limits.limits().is_err());
    }
}
