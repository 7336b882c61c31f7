//! `bench matching`: how well patients are told apart and found again, on records of which it is known whose they are.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Instant;

use clap::Args;
use interop::fhir::Resource;
use interop::fhir::search::IndexTerms;
use interop::identity::{
    Encoding, Frequencies, Grade, Judgement, LinkageSecret, Model, Pattern, SECRET_BYTES, Traits,
    candidate_pairs, judge, judge_encoded, learn,
};
use interop::synth::labelled_patients;
use serde::Serialize;

use super::figures::float;

/// A blocking key that more records share chooses nothing.
const SHARED_MAX: usize = 512;
const ROUNDS_MAX: usize = 500;

/// How much is measured.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  careledger bench matching --people 100000 --seed 7 --json")]
pub(crate) struct MatchingArgs {
    /// People.
    #[arg(long, default_value_t = 20_000)]
    people: u64,
    /// How many of a hundred have a second record.
    #[arg(long, default_value_t = 50)]
    duplicates: u64,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Pairs of two people that are compared beside those that blocking finds.
    #[arg(long, default_value_t = 1_000_000)]
    at_random: usize,
    /// Compares encodings, as one member's question meets another's patients, instead of what is in clear.
    #[arg(long)]
    between_members: bool,
    /// Also learns the numbers of a model from the records, and prints them.
    #[arg(long)]
    learn: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    records: u64,
    /// Pairs of records of one person.
    pairs_of_one: u64,
    /// The share of those that blocking finds.
    found_by_blocking: f64,
    /// Pairs of two people that were compared: all that blocking finds, and as many at random as were asked for.
    compared_of_two: u64,
    at_least: Vec<Row>,
    comparisons_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    encodings_per_s: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Row {
    grade: &'static str,
    true_pairs: u64,
    false_pairs: u64,
    precision: f64,
    recall: f64,
}

/// Records with their people.
struct Population {
    people: Vec<u64>,
    traits: Vec<Traits>,
    frequencies: Frequencies,
    model: Model,
}

pub(crate) fn run(args: &MatchingArgs) -> anyhow::Result<()> {
    let population = Population::made(args)?;
    let candidates = candidate_pairs(&population.traits, SHARED_MAX);
    let random = population.at_random(args.at_random, &candidates);
    let mut out = std::io::stdout();
    if args.learn {
        let patterns = |pairs: &[(usize, usize)]| {
            let mut counts: BTreeMap<Pattern, u64> = BTreeMap::new();
            for pair in pairs {
                *counts.entry(population.pattern(*pair)).or_default() += 1;
            }
            counts
        };
        let start = Model::START;
        let learned = learn(
            &patterns(&candidates),
            &patterns(&random),
            &start,
            ROUNDS_MAX,
        );
        writeln!(
            out,
            "share of one person {:.4}, {} rounds",
            learned.share, learned.rounds
        )?;
        for (field, same, apart) in learned.model.rows() {
            writeln!(out, "{field:?}\n  {same:.6?}\n  {apart:.6?}")?;
        }
    }
    let report = if args.between_members {
        population.measured_encoded(&candidates, &random)
    } else {
        population.measured(&candidates, &random, |pair| population.judged(pair))
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&mut out, &report)?;
    }
    Ok(())
}

impl Population {
    fn made(args: &MatchingArgs) -> anyhow::Result<Self> {
        let (mut people, mut traits) = (Vec::new(), Vec::new());
        for one in labelled_patients(args.seed, args.people, args.duplicates) {
            let resource = Resource::from_value(one.resource)?;
            people.push(one.person);
            traits.push(Traits::of(&IndexTerms::of(&resource)));
        }
        Ok(Self {
            frequencies: Frequencies::of(traits.iter()),
            people,
            traits,
            model: Model::default(),
        })
    }

    /// Pairs of two people, from all over the population, that are not among the candidates.
    fn at_random(&self, count: usize, candidates: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let candidates: BTreeSet<&(usize, usize)> = candidates.iter().collect();
        let total = self.people.len();
        let mut pairs = Vec::with_capacity(count);
        let mut state = 1_u64;
        while pairs.len() < count && total > 8 {
            let mut draw = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(state >> 33).unwrap_or(0) % total
            };
            let (one, other) = (draw(), draw());
            let pair = (one.min(other), one.max(other));
            if !self.is_one(pair) && !candidates.contains(&pair) {
                pairs.push(pair);
            }
        }
        pairs
    }

    fn is_one(&self, (one, other): (usize, usize)) -> bool {
        self.people.get(one) == self.people.get(other)
    }

    fn pattern(&self, (one, other): (usize, usize)) -> Pattern {
        match (self.traits.get(one), self.traits.get(other)) {
            (Some(one), Some(other)) => Pattern::of(one, other),
            _ => Pattern::of(&Traits::default(), &Traits::default()),
        }
    }

    fn judged(&self, (one, other): (usize, usize)) -> Option<Judgement> {
        let (one, other) = (self.traits.get(one)?, self.traits.get(other)?);
        Some(judge(one, other, &self.model, &self.frequencies))
    }

    /// The same with everybody encoded for one question.
    fn measured_encoded(&self, candidates: &[(usize, usize)], random: &[(usize, usize)]) -> Report {
        let secret = LinkageSecret::from_bytes([7; SECRET_BYTES]);
        let started = Instant::now();
        let traits = self.traits.iter();
        let encoded: Vec<Encoding> = traits.map(|one| secret.encode(one, b"bench")).collect();
        let took = started.elapsed().as_secs_f64();
        Report {
            encodings_per_s: Some(float(whole(encoded.len())) / took),
            ..self.measured(candidates, random, |pair| self.linked(&encoded, pair))
        }
    }

    /// Of a person's two records the later one is asked for.
    fn linked(&self, encoded: &[Encoding], (own, asked): (usize, usize)) -> Option<Judgement> {
        let own = (self.traits.get(own)?, encoded.get(own)?);
        let asked = encoded.get(asked)?;
        Some(judge_encoded(asked, own, &self.model, &self.frequencies))
    }

    fn measured(
        &self,
        candidates: &[(usize, usize)],
        random: &[(usize, usize)],
        judged: impl Fn((usize, usize)) -> Option<Judgement>,
    ) -> Report {
        let mut counts: BTreeMap<(Grade, bool), u64> = BTreeMap::new();
        let started = Instant::now();
        for pair in candidates.iter().chain(random) {
            if let Some(judgement) = judged(*pair) {
                let found = (judgement.grade, self.is_one(*pair));
                *counts.entry(found).or_default() += 1;
            }
        }
        let took = started.elapsed();
        let twice = self.people.windows(2);
        let pairs_of_one = whole(twice.filter(|pair| pair.first() == pair.last()).count());
        let of = |grade: Grade, is_one: bool| {
            let counted = counts.iter();
            let counted = counted.filter(|((found, one), _)| *found >= grade && *one == is_one);
            counted.map(|(_, count)| *count).sum::<u64>()
        };
        let rows = [Grade::Certain, Grade::Probable, Grade::Possible].map(|grade| {
            let (true_pairs, false_pairs) = (of(grade, true), of(grade, false));
            Row {
                grade: grade.code(),
                true_pairs,
                false_pairs,
                precision: share(true_pairs, true_pairs + false_pairs),
                recall: share(true_pairs, pairs_of_one),
            }
        });
        Report {
            records: whole(self.people.len()),
            pairs_of_one,
            found_by_blocking: share(of(Grade::CertainlyNot, true), pairs_of_one),
            compared_of_two: of(Grade::CertainlyNot, false),
            at_least: rows.into(),
            comparisons_per_s: float(whole(candidates.len() + random.len())) / took.as_secs_f64(),
            encodings_per_s: None,
        }
    }
}

fn share(part: u64, of: u64) -> f64 {
    float(part) / float(of.max(1))
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn print(out: &mut impl std::io::Write, report: &Report) -> std::io::Result<()> {
    writeln!(
        out,
        "{} records, {} pairs of one person, {:.4} of them found by blocking; {} pairs of two people compared, {:.0} a second",
        report.records,
        report.pairs_of_one,
        report.found_by_blocking,
        report.compared_of_two,
        report.comparisons_per_s,
    )?;
    if let Some(encodings) = report.encodings_per_s {
        writeln!(out, "{encodings:.0} encodings a second")?;
    }
    writeln!(out, "at least     found  false  precision  recall")?;
    for row in &report.at_least {
        writeln!(
            out,
            "{:<10} {:>7} {:>6}  {:.6}   {:.4}",
            row.grade, row.true_pairs, row.false_pairs, row.precision, row.recall
        )?;
    }
    Ok(())
}
