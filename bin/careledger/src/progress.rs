//! Progress on standard error: bars on a terminal, a line now and then where it is none.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `length` things.
pub(crate) fn bar(length: usize, unit: &'static str) -> ProgressBar {
    bar_of(u64::try_from(length).unwrap_or(u64::MAX), unit)
}

fn bar_of(length: u64, unit: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>12} [{bar:40}] {pos}/{len} {eta}");
    let bar = ProgressBar::new(length).with_message(unit);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// A count of things whose number is not known.
pub(crate) fn spinner(unit: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(unit);
    match ProgressStyle::with_template("{msg:>12} {pos}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// How far something long is, of which each part is told by its unit.
pub(crate) struct Meter {
    bar: Option<(ProgressBar, &'static str)>,
    is_terminal: bool,
    /// What the last line said.
    said: Option<(&'static str, u64)>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            bar: None,
            is_terminal: std::io::stderr().is_terminal(),
            said: None,
        }
    }

    /// So many of `total` are done.
    pub(crate) fn show(&mut self, unit: &'static str, done: u64, total: u64) {
        if !self.is_terminal {
            self.line(unit, done, total);
            return;
        }
        let bar = match &self.bar {
            Some((bar, shown)) if *shown == unit => bar.clone(),
            _ => {
                self.clear();
                let bar = bar_of(total, unit);
                self.bar = Some((bar.clone(), unit));
                bar
            }
        };
        bar.set_length(total);
        bar.set_position(done);
    }

    /// The same of things in memory.
    pub(crate) fn show_of(&mut self, unit: &'static str, done: usize, total: usize) {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.show(unit, wide(done), wide(total));
    }

    /// Says something in a line of its own.
    pub(crate) fn say(&mut self, text: &str) {
        self.clear();
        // Nothing is left to do if standard error is closed.
        let _written = writeln!(std::io::stderr(), "{text}");
    }

    /// Takes the bar away.
    pub(crate) fn clear(&mut self) {
        if let Some((bar, _)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line for each tenth.
    fn line(&mut self, unit: &'static str, done: u64, total: u64) {
        let tenths = done.saturating_mul(10).checked_div(total).unwrap_or(10);
        if self.said == Some((unit, tenths)) {
            return;
        }
        self.said = Some((unit, tenths));
        self.say(&format!("{unit}: {done} of {total}"));
    }
}
