//! Progress bars on standard error; silent where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `length` things.
pub(crate) fn bar(length: usize, unit: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>12} [{bar:40}] {pos}/{len} {eta}");
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX)).with_message(unit);
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
