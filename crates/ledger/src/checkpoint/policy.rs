//! Policies: which signatures a checkpoint needs, in the file format of C2SP `tlog-policy`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{CheckpointError, CosignerKeys, KeyError, KeyKind, SignedCheckpoint, VerifierKey};
use crate::genesis::Genesis;

/// Names and groups that a policy may define.
const DEFINITIONS_MAX: usize = 1_024;
const NOBODY: &str = "none";
/// No member has this name: it has a capital letter.
const VALIDATORS: &str = "Validators";

/// A parsed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: BTreeMap<String, VerifierKey>,
    groups: Vec<Group>,
    quorum: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    threshold: usize,
    members: Vec<String>,
}

/// Why a policy is refused: which line, and which rule of the format it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub struct PolicyError {
    /// Counted from one; zero for the file as a whole.
    pub line: usize,
    /// The rule.
    pub rule: PolicyRule,
}

/// The rules of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRule {
    /// A line starts with a word that means nothing.
    #[error("a line starts with log, witness, group or quorum")]
    UnknownKeyword,
    /// Too few or too many words.
    #[error("the line has too few or too many words")]
    WrongWords,
    /// A character that is not allowed.
    #[error("there is a control character other than tab and newline")]
    ControlCharacter,
    /// A key is malformed or of the wrong kind.
    #[error("the key is malformed or not of a kind that signs this")]
    KeyUnusable,
    /// A key or name is there twice.
    #[error("the key or name is there twice")]
    Duplicate,
    /// A name is not defined on an earlier line.
    #[error("the name is not defined on an earlier line")]
    NameUndefined,
    /// A threshold is not between one and the number of the group's members.
    #[error("the threshold is not between 1 and the number of members")]
    ThresholdOutOfRange,
    /// A group lists a name that is a member already.
    #[error("the name is a member of this or another group already")]
    MemberTwice,
    /// Not exactly one quorum.
    #[error("a policy has exactly one quorum line")]
    NotOneQuorum,
    /// More definitions than will be read.
    #[error("the policy is too long")]
    TooLong,
}

/// Who stands by a checkpoint that a policy accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The log keys that signed, by name.
    pub logs: Vec<String>,
    /// The witnesses that cosigned, by the policy's names, with the time in seconds since 1970.
    pub witnesses: BTreeMap<String, u64>,
}

/// Why a policy does not accept a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyViolation {
    /// The note is malformed, or a known key's signature is wrong.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// No listed log signed it.
    #[error("no log of the policy signed the checkpoint")]
    NoLog,
    /// Too few witnesses.
    #[error("the quorum `{quorum}` has not cosigned: {signed} of the policy's witnesses did")]
    NoQuorum {
        /// The quorum's name.
        quorum: String,
        /// How many witnesses cosigned.
        signed: usize,
    },
}

impl Policy {
    /// What a network's own validators amount to: any of them as the log, a quorum of them as witnesses.
    pub fn of_genesis(genesis: &Genesis) -> Result<Self, KeyError> {
        let mut logs = Vec::new();
        let mut witnesses = BTreeMap::new();
        for member in &genesis.members {
            let Some(validator) = member.validator else {
                continue;
            };
            let cosigner = member.cosigner.as_ref();
            let keys = CosignerKeys::of(genesis.network(), &member.name, validator, cosigner)?;
            logs.push(keys.log);
            let strongest = keys.ml_dsa_44.unwrap_or(keys.ed25519);
            witnesses.insert(member.name.to_string(), strongest);
        }
        Ok(Self {
            logs,
            groups: vec![Group {
                name: VALIDATORS.to_owned(),
                threshold: genesis.validators().quorum(),
                members: witnesses.keys().cloned().collect(),
            }],
            witnesses,
            quorum: Some(VALIDATORS.to_owned()),
        })
    }

    /// Reads a policy file.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut reader = Reader::default();
        for (line, words) in (1..).zip(text.split('\n')) {
            reader
                .line(words)
                .map_err(|rule| PolicyError { line, rule })?;
        }
        let rule = PolicyRule::NotOneQuorum;
        let quorum = reader.quorum.ok_or(PolicyError { line: 0, rule })?;
        Ok(Self {
            logs: reader.logs,
            witnesses: reader.witnesses,
            groups: reader.groups,
            quorum: (quorum != NOBODY).then_some(quorum),
        })
    }

    /// Whether the policy accepts the checkpoint, and by whose signatures.
    pub fn accept(&self, signed: &SignedCheckpoint) -> Result<Accepted, PolicyViolation> {
        let mut logs = Vec::new();
        for key in &self.logs {
            let is_of_this_log = key.name() == signed.checkpoint.origin;
            if is_of_this_log && signed.signed_by(key)?.is_some() {
                logs.push(key.name().to_owned());
            }
        }
        if logs.is_empty() && !self.logs.is_empty() {
            return Err(PolicyViolation::NoLog);
        }
        let mut witnesses = BTreeMap::new();
        for (name, key) in &self.witnesses {
            if let Some(at) = signed.signed_by(key)? {
                witnesses.insert(name.clone(), at);
            }
        }
        if let Some(quorum) = &self.quorum
            && !self.satisfied(&witnesses).contains(quorum)
        {
            return Err(PolicyViolation::NoQuorum {
                quorum: quorum.clone(),
                signed: witnesses.len(),
            });
        }
        Ok(Accepted { logs, witnesses })
    }

    /// The witnesses that cosigned and the groups that have their threshold: groups name only what is above them.
    fn satisfied(&self, witnesses: &BTreeMap<String, u64>) -> BTreeSet<String> {
        let mut satisfied: BTreeSet<String> = witnesses.keys().cloned().collect();
        for group in &self.groups {
            let members = group.members.iter();
            if members.filter(|name| satisfied.contains(*name)).count() >= group.threshold {
                satisfied.insert(group.name.clone());
            }
        }
        satisfied
    }
}

#[derive(Default)]
struct Reader {
    logs: Vec<VerifierKey>,
    witnesses: BTreeMap<String, VerifierKey>,
    groups: Vec<Group>,
    grouped: BTreeSet<String>,
    quorum: Option<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), PolicyRule> {
        if line
            .chars()
            .any(|c| c != '\t' && (c < ' ' || c == '\u{7f}'))
        {
            return Err(PolicyRule::ControlCharacter);
        }
        let words: Vec<&str> = line
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .collect();
        let Some((keyword, rest)) = words.split_first() else {
            return Ok(());
        };
        let defined = self.logs.len().saturating_add(self.names());
        if defined >= DEFINITIONS_MAX {
            return Err(PolicyRule::TooLong);
        }
        match (*keyword, rest) {
            (comment, _) if comment.starts_with('#') => Ok(()),
            ("log", [key] | [key, _]) => self.log(key),
            ("witness", [name, key] | [name, key, _]) => self.witness(name, key),
            ("group", [name, threshold, members @ ..]) => self.group(name, threshold, members),
            ("quorum", [name]) => self.quorum(name),
            ("log" | "witness" | "group" | "quorum", _) => Err(PolicyRule::WrongWords),
            _ => Err(PolicyRule::UnknownKeyword),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), PolicyRule> {
        let key: VerifierKey = key.parse().map_err(|_| PolicyRule::KeyUnusable)?;
        if self.logs.iter().any(|log| log.key() == key.key()) {
            return Err(PolicyRule::Duplicate);
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str) -> Result<(), PolicyRule> {
        let key: VerifierKey = key.parse().map_err(|_| PolicyRule::KeyUnusable)?;
        if key.kind() == KeyKind::Log {
            return Err(PolicyRule::KeyUnusable);
        }
        let known = self
            .witnesses
            .values()
            .any(|witness| witness.key() == key.key());
        if known || self.is_taken(name) {
            return Err(PolicyRule::Duplicate);
        }
        self.witnesses.insert(name.to_owned(), key);
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, members: &[&str]) -> Result<(), PolicyRule> {
        if self.is_taken(name) {
            return Err(PolicyRule::Duplicate);
        }
        let threshold = match threshold {
            "all" => members.len(),
            "any" => 1,
            number => number
                .parse()
                .map_err(|_| PolicyRule::ThresholdOutOfRange)?,
        };
        if threshold == 0 || threshold > members.len() {
            return Err(PolicyRule::ThresholdOutOfRange);
        }
        for member in members {
            if !self.is_defined(member) {
                return Err(PolicyRule::NameUndefined);
            }
            if !self.grouped.insert((*member).to_owned()) {
                return Err(PolicyRule::MemberTwice);
            }
        }
        self.groups.push(Group {
            name: name.to_owned(),
            threshold,
            members: members.iter().map(ToString::to_string).collect(),
        });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), PolicyRule> {
        if self.quorum.is_some() {
            return Err(PolicyRule::NotOneQuorum);
        }
        if name != NOBODY && !self.is_defined(name) {
            return Err(PolicyRule::NameUndefined);
        }
        self.quorum = Some(name.to_owned());
        Ok(())
    }

    fn is_defined(&self, name: &str) -> bool {
        self.witnesses.contains_key(name) || self.groups.iter().any(|group| group.name == name)
    }

    fn is_taken(&self, name: &str) -> bool {
        name == NOBODY || self.is_defined(name)
    }

    fn names(&self) -> usize {
        self.witnesses.len().saturating_add(self.groups.len())
    }
}

impl fmt::Display for Policy {
    /// The policy as a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in &self.logs {
            writeln!(f, "log {key}")?;
        }
        for (name, key) in &self.witnesses {
            writeln!(f, "witness {name} {key}")?;
        }
        for group in &self.groups {
            let members = group.members.join(" ");
            writeln!(f, "group {} {} {members}", group.name, group.threshold)?;
        }
        writeln!(f, "quorum {}", self.quorum.as_deref().unwrap_or(NOBODY))
    }
}
