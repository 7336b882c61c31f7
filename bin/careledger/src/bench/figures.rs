//! Figures of what was measured.

/// The value below which `percent` of the sorted values lie.
pub(super) fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    float(bytes) / 1_048_576.0
}
