//! Vocabularies of the size of SNOMED CT, each rate beside that of reading the same file at random.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use interop::terminology::{
    About, Asked, Canonical, ConceptMap, Concepts, Designation, Draft, Expand, Kind, Library,
    Translate, ValueSet, expand, lookup, subsumes, translate,
};
use node::terminology::{Release, write_release};
use serde::Serialize;
use serde_json::json;

use crate::bench::figures::{float, mebibytes, quantile};
use crate::bench::limits::rate;

/// Names of a concept beside what it is shown as, and words of a name.
const NAMES: u64 = 4;
const WORDS: u64 = 4;
/// Different words.
const VOCABULARY: u64 = 40_000;
const PAGE: u64 = 4_096;
const SYSTEM: &str = "urn:bench:codes";

#[derive(Debug, Serialize)]
pub(super) struct Report {
    concepts: u64,
    /// Pages of 4 KiB of the same file, read at random, a second.
    page_reads_per_s: f64,
    load_s: f64,
    open_s: f64,
    file_mib: f64,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    per_s: f64,
    p50_us: f64,
    p99_us: f64,
    /// Reads of a page in the same time, median.
    pages: f64,
}

/// One code system, and all of it as a value set.
struct Bench(Arc<Release>);

impl Library for Bench {
    fn code_system(&self, wanted: &Canonical) -> Option<Arc<dyn Concepts>> {
        let own = Arc::clone(&self.0) as Arc<dyn Concepts>;
        Some(own).filter(|own| wanted.means(own.about()))
    }

    fn value_set(&self, _: &Canonical) -> Option<Arc<ValueSet>> {
        None
    }
}

/// Asks a code system of so many concepts, each with four names besides, so many questions of each kind.
pub(super) fn measure(concepts: u64, questions: u64, folder: &Path) -> anyhow::Result<Report> {
    let path = &folder.join("bench.codes");
    let start = Instant::now();
    write_release(&generated(concepts).finish(about()), path)?;
    let load_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let bench = Bench(Arc::new(Release::open(path)?));
    let open_s = start.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(path)?.len();
    let pages = page_reads(path, bytes)?;
    let release = bench.0.as_ref();
    let code = |at: u64| code(scattered(at) % concepts);
    let mut rows = Vec::new();
    let mut measured = |what, ask: &dyn Fn(u64) -> anyhow::Result<()>| {
        rows.push(timed(what, questions, pages, ask)?);
        anyhow::Ok(())
    };
    measured("$lookup", &|at| {
        lookup(release, &code(at), &[], None)?;
        Ok(())
    })?;
    measured("$subsumes", &|at| {
        subsumes(release, &code(at), &code(at.wrapping_add(1)))?;
        Ok(())
    })?;
    let all = ValueSet::all_of(release.about());
    let part = part()?;
    for (what, value_set, letters) in [
        ("$expand of all, a word", &all, 9),
        ("$expand of all, three letters", &all, 3),
        ("$expand below a concept, three letters", &part, 3),
    ] {
        measured(what, &|at| {
            let word = word(scattered(at) % VOCABULARY);
            let asked = Expand {
                filter: Some(word.get(..letters).unwrap_or(&word).to_owned()),
                count: Some(20),
                ..Expand::default()
            };
            expand(value_set, &asked, &bench, ("urn:uuid:bench", "2026-01-01"))?;
            Ok(())
        })?;
    }
    let maps = [Arc::new(mapping(concepts.min(120_000))?)];
    measured("$translate", &|at| {
        let asked = Translate {
            codes: Asked::of(&json!({ "system": SYSTEM, "code": code(at) })),
            ..Translate::default()
        };
        std::hint::black_box(translate(&maps, &asked));
        Ok(())
    })?;
    Ok(Report {
        concepts,
        page_reads_per_s: pages,
        load_s,
        open_s,
        file_mib: mebibytes(bytes),
        rows,
    })
}

fn about() -> About {
    About {
        url: SYSTEM.to_owned(),
        version: "1".to_owned(),
        name: "Bench".to_owned(),
    }
}

/// Concepts below one or two earlier ones, with attributes and names.
fn generated(concepts: u64) -> Draft {
    let mut draft = Draft::default();
    for number in 0..concepts {
        let own = code(number);
        let name = |of: u64| {
            let words =
                (0..WORDS).map(|at| word(scattered(number * 31 + of * 7 + at) % VOCABULARY));
            words.collect::<Vec<_>>().join(" ")
        };
        draft.concept(&own).display = Some(name(0));
        for of in 1..=NAMES {
            let designation = Designation {
                language: Some("en".to_owned()),
                usage: None,
                value: name(of),
            };
            draft.designate(&own, designation);
        }
        if number > 0 {
            draft.link(&own, &code(number / 8));
        }
        if number % 2 == 1 {
            draft.link(&own, &code(scattered(number) % number));
        }
        draft.say(&own, "attribute", Kind::Code, &code(number % 1_000));
    }
    draft
}

/// What is below an early concept.
fn part() -> anyhow::Result<ValueSet> {
    let filter = json!([{ "property": "concept", "op": "is-a", "value": code(1) }]);
    let compose = json!({ "include": [{ "system": SYSTEM, "filter": filter }] });
    Ok(ValueSet::of(
        &json!({ "url": "urn:bench:part", "compose": compose }),
    )?)
}

fn mapping(codes: u64) -> anyhow::Result<ConceptMap> {
    let elements = (0..codes).map(|number| {
        let target = json!([{ "code": number.to_string(), "equivalence": "equivalent" }]);
        json!({ "code": code(number), "target": target })
    });
    let group = json!([{ "source": SYSTEM, "target": "urn:bench:other",
        "element": elements.collect::<Vec<_>>() }]);
    Ok(ConceptMap::of(
        &json!({ "url": "urn:bench:map", "group": group }),
    )?)
}

fn code(number: u64) -> String {
    format!("{}", 100_000_000 + number)
}

/// Nine letters, by a number.
fn word(number: u64) -> String {
    let mut rest = scattered(number);
    let letters = (0..9).map(|_| {
        let letter = char::from(b'a' + u8::try_from(rest % 26).unwrap_or_default());
        rest /= 26;
        letter
    });
    letters.collect()
}

/// Numbers without an order that shows (splitmix64).
fn scattered(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn page_reads(path: &Path, bytes: u64) -> anyhow::Result<f64> {
    use std::os::unix::fs::FileExt as _;
    let file = File::open(path)?;
    let pages = (bytes / PAGE).max(1);
    let at = std::cell::Cell::new(0_u64);
    let mut page = [0; 4_096];
    file.read_exact_at(&mut page, 0)
        .context("the file is shorter than a page")?;
    let page = std::cell::RefCell::new(page);
    Ok(rate(|| {
        at.set(at.get().wrapping_add(1));
        let place = (scattered(at.get()) % pages) * PAGE;
        file.read_exact_at(page.borrow_mut().as_mut_slice(), place)
            .is_ok()
    }))
}

fn timed(
    what: &'static str,
    questions: u64,
    pages: f64,
    ask: &dyn Fn(u64) -> anyhow::Result<()>,
) -> anyhow::Result<Row> {
    let start = Instant::now();
    let mut times = Vec::new();
    for at in 0..questions {
        let one = Instant::now();
        ask(at)?;
        times.push(one.elapsed().as_secs_f64() * 1e6);
    }
    let per_s = float(questions) / start.elapsed().as_secs_f64();
    times.sort_unstable_by(f64::total_cmp);
    let p50_us = quantile(&times, 50);
    Ok(Row {
        what,
        per_s,
        p50_us,
        p99_us: quantile(&times, 99),
        pages: p50_us * pages / 1e6,
    })
}

impl Report {
    pub(super) fn print(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{} concepts: loaded in {:.1} s, {:.0} MiB, opened in {:.2} s",
            self.concepts, self.load_s, self.file_mib, self.open_s
        )?;
        writeln!(
            out,
            "limit: {:.0} pages of the file a second",
            self.page_reads_per_s
        )?;
        writeln!(
            out,
            "{:<40} {:>10} {:>10} {:>10} {:>8}",
            "", "a second", "p50 µs", "p99 µs", "pages"
        )?;
        for row in &self.rows {
            let Row {
                what,
                per_s,
                p50_us,
                p99_us,
                pages,
            } = row;
            writeln!(
                out,
                "{what:<40} {per_s:>10.0} {p50_us:>10.1} {p99_us:>10.1} {pages:>8.1}"
            )?;
        }
        Ok(())
    }
}
