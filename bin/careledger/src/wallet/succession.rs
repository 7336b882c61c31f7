//! Another root in the place of one that was stolen: members take the new root's key for the wallet's, and all branches go
//! on under keys of the new root.
//!
//! The new root and the numbers of its first keys are kept before anybody hears of them, and each step can be repeated: a
//! rotation that was cut off goes on where it was.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use ledger::ids::{Digest, MemberName};
use ledger::stream::{Branch, KeyEpoch};

use super::guardians::{Standing, said, say_signed};
use super::lineage::{Era, Identity};
use super::{View, Wallet, WalletFolder};

/// How a root was rotated.
#[derive(Debug)]
pub(crate) struct RootRotated {
    /// Whether a rotation that was cut off went on.
    pub(crate) is_resumed: bool,
    /// The members that know the new root's key.
    pub(crate) members: Vec<String>,
    /// The members whose guardians have shares of a former root.
    pub(crate) guarded_at: Vec<String>,
}

/// Puts another root in the place of the wallet's. Members that are left out know the former one until it is done again.
pub(crate) async fn rotate_root(
    view: &View,
    folder: &WalletFolder,
    name: &str,
    without: &[String],
) -> anyhow::Result<RootRotated> {
    let mut wallet = folder.wallet(name)?;
    let members = wallet.state.patients.keys();
    let members = members.filter(|member| !without.contains(member));
    let members: Vec<String> = members.cloned().collect();
    anyhow::ensure!(
        !members.is_empty(),
        "the wallet is enrolled at none of the members"
    );
    let is_resumed = wallet.is_rotating(&members);
    if !is_resumed {
        let era = wallet.next_era(view)?;
        folder.begin_era(&wallet, era)?;
        wallet = folder.wallet(name)?;
    }
    // Who has the former root speaks for the patient until here.
    for member in &members {
        let succeeded = wallet.succeed(view, member).await;
        succeeded.with_context(|| cut_off(member))?;
        folder.save(&wallet)?;
    }
    let starts = wallet.state.eras.last().map(|era| era.starts.clone());
    let starts = starts.unwrap_or_default();
    for member in &members {
        let given = wallet.give_started(view, member, (&starts, false)).await;
        given.with_context(|| cut_off(member))?;
    }
    for member in &members {
        let given = wallet.give_started(view, member, (&starts, true)).await;
        given.with_context(|| cut_off(member))?;
        wallet.note_started(member, &starts);
        folder.save(&wallet)?;
    }
    let guarded_at = wallet.guard_anew(view, &members).await?;
    folder.save(&wallet)?;
    Ok(RootRotated {
        is_resumed,
        members,
        guarded_at,
    })
}

fn cut_off(member: &str) -> String {
    format!(
        "the rotation was cut off at {member}: do it again, it goes on there; or leave {member} until later with --without {member}"
    )
}

impl Wallet {
    /// All branches that anybody holds a key of, or may be given one.
    fn every_branch(&self, view: &View) -> anyhow::Result<BTreeSet<Branch>> {
        let enrolled = self.state.patients.keys().map(|name| Ok(name.parse()?));
        let mut members = enrolled.collect::<anyhow::Result<BTreeSet<MemberName>>>()?;
        members.extend(view.members().cloned());
        let branches = members.iter().flat_map(Branch::all_of);
        Ok(branches.collect())
    }

    /// The era that a new root begins: each branch has a later key than it ever had.
    fn next_era(&self, view: &View) -> anyhow::Result<Era> {
        let mut starts = BTreeMap::new();
        for branch in self.every_branch(view)? {
            let name = branch.name();
            let announced = self
                .state
                .eras
                .iter()
                .filter_map(|era| era.starts.get(&name));
            let highest = announced.copied().chain([self.epoch(&branch)]).max();
            starts.insert(name, highest.unwrap_or(0).saturating_add(1));
        }
        Ok(Era {
            starts,
            known_at: BTreeSet::new(),
        })
    }

    /// Whether one of these members has not taken all of the newest root's keys.
    fn is_rotating(&self, members: &[String]) -> bool {
        // Roots that were recovered from a lost wallet began with that.
        let begun = self.state.eras.iter().skip(self.state.recovered_eras);
        let Some(era) = begun.last() else {
            return false;
        };
        let unknown = members.iter().any(|member| !era.known_at.contains(member));
        unknown
            || era.starts.iter().any(|(name, start)| {
                let branch = name.parse::<Branch>();
                branch.is_ok_and(|branch| {
                    let mut members = members.iter();
                    let is_asked = members.any(|member| self.moves_with(&branch, member));
                    is_asked && self.epoch(&branch) < *start
                })
            })
    }

    /// Whether a branch goes on once a member has its keys: it writes the branch, or nobody does yet.
    fn moves_with(&self, branch: &Branch, member: &str) -> bool {
        let writer = branch.writer().as_str();
        member == writer || !self.state.patients.contains_key(writer)
    }

    /// Has a member take the newest identity, from whichever it knows.
    pub(super) async fn succeed(&mut self, view: &View, member: &str) -> anyhow::Result<()> {
        let identities = self.identities();
        let mut known = None;
        for (at, identity) in identities.iter().enumerate().rev() {
            match self.speaks(view, member, identity.seed())?.token().await {
                Ok(_) => {
                    known = Some(at);
                    break;
                }
                Err(error) if at == 0 => return Err(error),
                Err(_) => {}
            }
        }
        let later = identities.iter().skip(known.unwrap_or(0));
        let later: Vec<&Identity> = later.collect();
        for pair in later.windows(2) {
            if let [former, next] = pair {
                self.replace(view, member, (former, next)).await?;
            }
        }
        self.note_known(member);
        Ok(())
    }

    /// Has a member take one identity for another that it knows.
    pub(super) async fn replace(
        &self,
        view: &View,
        member: &str,
        (former, next): (&Identity, &Identity),
    ) -> anyhow::Result<()> {
        let patient = self.patient_at(member)?;
        let through = self.speaks(view, member, former.seed())?;
        let standing = Standing::read(&through, patient).await?;
        let number = standing.number();
        let guarded = standing.digest("guarded");
        let guarded = guarded.unwrap_or(Digest(former.public()));
        let command = former.gives_way((view.network_id(), guarded, number), next);
        let said = said(view, &standing, former, (number, command));
        say_signed(&through, patient, &said, None).await
    }

    /// Notes that a member knows the newest identity.
    pub(super) fn note_known(&mut self, member: &str) {
        for era in &mut self.state.eras {
            era.known_at.insert(member.to_owned());
        }
    }

    /// Gives a member the first keys of the newest root: of the branches that it writes, or of those of others that it may
    /// hold.
    async fn give_started(
        &self,
        view: &View,
        member: &str,
        (starts, own): (&BTreeMap<String, KeyEpoch>, bool),
    ) -> anyhow::Result<()> {
        let name: MemberName = member.parse()?;
        let mut granted = Vec::new();
        for (branch, epoch) in starts {
            let branch: Branch = branch.parse()?;
            let is_own = *branch.writer() == name;
            if is_own == own && self.may_hold(&name, &branch) {
                granted.push(self.lineage.grant(view.network_id(), &branch, *epoch));
            }
        }
        if granted.is_empty() {
            return Ok(());
        }
        self.give(view, member, &granted).await
    }

    fn note_started(&mut self, member: &str, starts: &BTreeMap<String, KeyEpoch>) {
        for (name, start) in starts {
            let branch = name.parse::<Branch>();
            if branch.is_ok_and(|branch| self.moves_with(&branch, member)) {
                let epoch = self.state.epochs.entry(name.clone()).or_insert(0);
                *epoch = (*epoch).max(*start);
            }
        }
    }

    /// Gives the guardians shares of the newest root, if the wallet knows them; the members where it does not.
    async fn guard_anew(&mut self, view: &View, members: &[String]) -> anyhow::Result<Vec<String>> {
        let mut guarded_at = Vec::new();
        for member in members {
            if let Some(guards) = self.state.guards.get(member).cloned() {
                if guards.era < self.lineage.eras() {
                    self.guard(view, member, guards).await?;
                }
                continue;
            }
            let through = self.client(view, member)?;
            let standing = Standing::read(&through, self.patient_at(member)?).await?;
            if standing.is_guarded() {
                guarded_at.push(member.clone());
            }
        }
        Ok(guarded_at)
    }
}
