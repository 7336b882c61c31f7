//! What can be proven of policies before they are in force: the questions are Cedar's symbolic compiler's, the proofs are
//! of the solver cvc5. Consents are not known then, so changes are looked at where no patient consents to anything and
//! where all consent to everything: a permit shows in the one, a forbid in the other.

use anyhow::Context as _;
use cedar_policy::{PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet};
use contracts::access::published;
use serde::Serialize;

/// What was proven.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Analysis {
    pub(super) policies: Vec<Finding>,
    pub(super) changes: Vec<Change>,
}

/// One voted policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) id: String,
    /// A request for which it cannot be evaluated.
    pub(super) fails_for: Option<String>,
    pub(super) never_matches: bool,
    /// The others answer everything as all do.
    pub(super) changes_nothing: bool,
}

/// What is different from the policies before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    pub(super) assuming: &'static str,
    /// A request that was denied and is permitted.
    pub(super) widens: Option<String>,
    /// A request that was permitted and is denied.
    pub(super) narrows: Option<String>,
}

struct Prover {
    schema: Schema,
    /// One for each action: what is opened, added and changed.
    environments: Vec<RequestEnv>,
    solver: CedarSymCompiler<LocalSolver>,
}

impl Analysis {
    pub(super) async fn of(text: &str, before: &str) -> anyhow::Result<Self> {
        let after = published::policies(text)?;
        let before = published::policies(before).context("the policies before")?;
        let mut prover = Prover::start()?;
        let consented = published::with_any_consent(after.clone())?;
        let mut policies = Vec::new();
        for policy in after.policies() {
            if published::is_voted(policy.id().as_ref()) {
                policies.push(prover.finding(policy, [&after, &consented]).await?);
            }
        }
        let consented_before = published::with_any_consent(before.clone())?;
        let changes = vec![
            prover
                .change("Where no patient consents", &before, &after)
                .await?,
            prover
                .change(
                    "Where patients consent to everything",
                    &consented_before,
                    &consented,
                )
                .await?,
        ];
        Ok(Self { policies, changes })
    }
}

impl Prover {
    fn start() -> anyhow::Result<Self> {
        let schema = published::schema()?;
        let environments: Vec<RequestEnv> = schema.request_envs().collect();
        anyhow::ensure!(!environments.is_empty(), "the schema has no requests");
        let solver = LocalSolver::cvc5().context(
            "the solver cvc5 cannot be started: install it (apt-get install cvc5), or name it (CVC5=/path/to/cvc5)",
        )?;
        Ok(Self {
            environments,
            solver: CedarSymCompiler::new(solver)?,
            schema,
        })
    }

    async fn finding(
        &mut self,
        policy: &cedar_policy::Policy,
        sets: [&PolicySet; 2],
    ) -> anyhow::Result<Finding> {
        let mut finding = Finding {
            id: policy.id().to_string(),
            fails_for: None,
            never_matches: true,
            changes_nothing: true,
        };
        for environment in self.environments.clone() {
            let compiled = CompiledPolicy::compile(policy, &environment, &self.schema)?;
            let solver = &mut self.solver;
            if finding.fails_for.is_none() {
                let fails = solver
                    .check_never_errors_with_counterexample_opt(&compiled)
                    .await?;
                finding.fails_for = fails.map(|example| example.to_string());
            }
            finding.never_matches &= solver.check_never_matches_opt(&compiled).await?;
            for with in sets {
                let mut without = with.clone();
                without.remove_static(policy.id().clone())?;
                let with = self.compiled(with, &environment)?;
                let without = self.compiled(&without, &environment)?;
                let is_same = self.solver.check_equivalent_opt(&with, &without).await?;
                finding.changes_nothing &= is_same;
            }
        }
        Ok(finding)
    }

    async fn change(
        &mut self,
        assuming: &'static str,
        before: &PolicySet,
        after: &PolicySet,
    ) -> anyhow::Result<Change> {
        let mut change = Change {
            assuming,
            widens: None,
            narrows: None,
        };
        for environment in self.environments.clone() {
            let before = self.compiled(before, &environment)?;
            let after = self.compiled(after, &environment)?;
            for (found, more, fewer) in [
                (&mut change.widens, &after, &before),
                (&mut change.narrows, &before, &after),
            ] {
                if found.is_none() {
                    let example = self
                        .solver
                        .check_implies_with_counterexample_opt(more, fewer)
                        .await?;
                    *found = example.map(|example| example.to_string());
                }
            }
        }
        Ok(change)
    }

    fn compiled(
        &self,
        policies: &PolicySet,
        environment: &RequestEnv,
    ) -> anyhow::Result<CompiledPolicySet> {
        Ok(CompiledPolicySet::compile(
            policies,
            environment,
            &self.schema,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing where there is no solver.
    async fn analysed(text: &str, before: &str) -> Option<Analysis> {
        if Prover::start().is_err() {
            eprintln!("skipped: cvc5 is missing (apt-get install cvc5)");
            return None;
        }
        Some(Analysis::of(text, before).await.unwrap())
    }

    #[tokio::test]
    async fn what_a_policy_does_is_told_before_anybody_votes_on_it() {
        let text = "
            @id(\"no-payment\") forbid (principal, action, resource) when { context.purpose == \"HPAYMT\" };
            @id(\"nor-this\") forbid (principal, action, resource)
              when { context.purpose == \"HPAYMT\" && resource.type == \"Condition\" };
            @id(\"never\") permit (principal, action, resource)
              when { context.purpose == \"TREAT\" && context.purpose == \"HPAYMT\" };
            @id(\"overflow\") permit (principal, action, resource) when { context.now + 1 > 0 };";
        let Some(analysis) = analysed(text, "").await else {
            return;
        };
        let mut said: Vec<_> = analysis
            .policies
            .iter()
            .map(|one| {
                let fails = one.fails_for.is_some();
                (
                    one.id.as_str(),
                    fails,
                    one.never_matches,
                    one.changes_nothing,
                )
            })
            .collect();
        said.sort_unstable();
        assert_eq!(
            said,
            [
                ("voted/never", false, true, true),
                ("voted/no-payment", false, false, false),
                ("voted/nor-this", false, false, true),
                ("voted/overflow", true, false, false),
            ]
        );
    }

    #[tokio::test]
    async fn a_change_that_widens_access_is_shown_by_an_example() {
        let before = "@id(\"a\") forbid (principal, action, resource)
            when { principal.member != resource.home && resource.labels.contains(\"HIV\") };";
        let Some(taken_back) = analysed("", before).await else {
            return;
        };
        let [alone, consented] = &taken_back.changes[..] else {
            panic!("two assumptions")
        };
        assert_eq!((&alone.narrows, &consented.narrows), (&None, &None));
        assert!(consented.widens.as_ref().unwrap().contains("HIV"));
        let research = "@id(\"a\") permit (principal, action, resource) when { context.purpose == \"HRESCH\" };";
        let widened = analysed(research, "").await.unwrap();
        assert!(
            widened.changes[0]
                .widens
                .as_ref()
                .unwrap()
                .contains("HRESCH")
        );
        let same = analysed(before, before).await.unwrap();
        assert!(
            same.changes
                .iter()
                .all(|one| one.widens.is_none() && one.narrows.is_none())
        );
    }
}
