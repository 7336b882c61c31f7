//! Units of UCUM: quantities in canonical units, so that `1 g` finds `1000 mg`.

use octofhir_ucum::Number;
use octofhir_ucum::get_canonical_units;

use super::decimal::{Decimal, Interval};

/// The system of UCUM.
pub(super) const UCUM: &str = "http://unitsofmeasure.org";
/// No unit that is written by hand is longer.
const UNIT_BYTES_MAX: usize = 64;

/// A unit's way to its canonical unit.
pub(super) struct Conversion {
    /// The canonical unit.
    pub(super) unit: String,
    factor: Number,
    offset: Number,
}

impl Conversion {
    /// `None` for what is no unit of UCUM, or has no linear scale.
    pub(super) fn of(unit: &str) -> Option<Self> {
        if unit.is_empty() || unit.len() > UNIT_BYTES_MAX {
            return None;
        }
        let canonical = get_canonical_units(unit).ok()?;
        Some(Self {
            unit: canonical.unit,
            factor: canonical.factor,
            offset: canonical.offset,
        })
    }

    /// The number in the canonical unit.
    pub(super) fn apply(&self, value: Decimal) -> Option<Decimal> {
        let text = format!("{}e{}", value.mantissa(), value.exponent());
        let number = Number::parse(&text)?;
        let number = number.checked_mul(self.factor)?.checked_add(self.offset)?;
        let (mantissa, exponent) = number.to_integer_and_exponent();
        Decimal::of(mantissa, exponent)
    }

    /// The bounds in the canonical unit.
    pub(super) fn apply_all(&self, interval: Interval) -> Option<Interval> {
        let bound = |bound: Option<Decimal>| {
            bound
                .map(|it| self.apply(it))
                .map_or(Some(None), |it| it.map(Some))
        };
        Some(Interval {
            low: bound(interval.low)?,
            high: bound(interval.high)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(value: &str, unit: &str) -> (Decimal, String) {
        let conversion = Conversion::of(unit).unwrap();
        (
            conversion.apply(Decimal::parse(value).unwrap()).unwrap(),
            conversion.unit,
        )
    }

    #[test]
    fn equal_quantities_have_one_canonical_form() {
        for (one, two) in [
            (("1", "g"), ("1000", "mg")),
            (("5.4", "mmol/L"), ("5400", "umol/L")),
            (("1", "[in_i]"), ("2.54", "cm")),
            (("37", "Cel"), ("310.15", "K")),
            (("120", "mm[Hg]"), ("0.12", "m[Hg]")),
            (("60", "/min"), ("1", "/s")),
            (("100", "%"), ("1", "1")),
        ] {
            assert!(
                canonical(one.0, one.1) == canonical(two.0, two.1),
                "{} {}",
                one.1,
                two.1
            );
        }
        assert!(canonical("1", "g").1 != canonical("1", "m").1);
    }

    #[test]
    fn what_is_no_linear_unit_has_none() {
        for unit in ["", "furlongs per fortnight", "[pH]", "mg/", &"m".repeat(65)] {
            assert!(Conversion::of(unit).is_none(), "{unit}");
        }
    }
}
