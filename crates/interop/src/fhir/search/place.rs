//! Places on the globe (`near`): whole numbers all the way, so that every machine finds the same.

use std::fmt;

use minicbor::{Decode, Encode};
use serde_json::Value;

use super::decimal::Decimal;
use super::problem::QueryProblem;
use super::units::Conversion;

/// What `1` is in fractions.
const ONE: i128 = 1_000_000_000_000_000_000;
const PI: i128 = 3_141_592_653_589_793_238;
/// The mean radius of the earth.
const EARTH_MM: i128 = 6_371_008_771;
/// One degree on a meridian, rounded down.
const DEGREE_MM: i128 = 111_190_000;
/// Parts of a degree that a position is kept in, about a centimetre.
const DEGREE: i64 = 10_000_000;
/// Half a degree.
const CELL: i64 = DEGREE / 2;
/// Distance without one in the query.
const DISTANCE_DEFAULT_MM: i128 = 50_000_000;
/// Nothing on the globe is farther away.
const DISTANCE_MAX_MM: i128 = 20_016_000_000;
/// Nearer to a pole a distance may go around it.
const LATITUDE_MAX: i64 = 89 * DEGREE;

/// A position, in parts of a degree.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Position {
    #[n(0)]
    latitude: i64,
    #[n(1)]
    longitude: i64,
}

/// All places within a distance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Near {
    center: Position,
    distance_mm: i128,
}

/// A square of the globe, by the numbers of its row and column.
pub(super) type Cell = [i64; 2];

// Where a patient is, perhaps.
impl fmt::Debug for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Position(..)")
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Near(..)")
    }
}

impl Position {
    /// From `Location.position`.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let part = |name| match value.get(name)? {
            Value::Number(number) => Decimal::parse(&number.to_string()),
            _ => None,
        };
        Self::at(part("latitude")?, part("longitude")?)
    }

    fn at(latitude: Decimal, longitude: Decimal) -> Option<Self> {
        let parts = |degrees, most: i64| {
            let parts = i64::try_from(scaled(degrees, 7)?).ok()?;
            (-most..=most).contains(&parts).then_some(parts)
        };
        Some(Self {
            latitude: parts(latitude, 90 * DEGREE)?,
            longitude: parts(longitude, 360 * DEGREE)?,
        })
    }

    pub(super) fn cell(self) -> Cell {
        let column = self.longitude.rem_euclid(360 * DEGREE);
        [self.latitude.div_euclid(CELL), column.div_euclid(CELL)]
    }
}

impl Near {
    /// Reads `latitude|longitude[|distance[|unit]]`; the unit is one of UCUM, kilometres without one.
    pub(super) fn parse(text: &str) -> Result<Self, QueryProblem> {
        let parts: Vec<&str> = text.split('|').collect();
        let (place, distance, unit) = match parts.as_slice() {
            [latitude, longitude] => ((latitude, longitude), "", ""),
            [latitude, longitude, distance] => ((latitude, longitude), *distance, ""),
            [latitude, longitude, distance, unit] => ((latitude, longitude), *distance, *unit),
            _ => return Err(QueryProblem::ValueMalformed),
        };
        let number = |text| Decimal::parse(text).ok_or(QueryProblem::ValueMalformed);
        let center = Position::at(number(place.0)?, number(place.1)?);
        let distance_mm = if distance.is_empty() {
            DISTANCE_DEFAULT_MM
        } else {
            millimetres(number(distance)?, unit)?
        };
        Ok(Self {
            center: center.ok_or(QueryProblem::ValueMalformed)?,
            distance_mm,
        })
    }

    /// Whether the position is within the distance, on a globe.
    pub(super) fn reaches(&self, position: Position) -> bool {
        let angle = self.distance_mm * ONE / EARTH_MM;
        if angle >= PI {
            return true;
        }
        let (here, there) = (self.center, position);
        let turn = (here.longitude - there.longitude).rem_euclid(360 * DEGREE);
        let longitudes = turn.min(360 * DEGREE - turn);
        let cosine = |latitude| ONE - versine(radians(latitude));
        let cosines = cosine(here.latitude) * cosine(there.latitude) / ONE;
        let apart = versine(radians(here.latitude - there.latitude))
            + cosines * versine(radians(longitudes)) / ONE;
        apart <= versine(angle)
    }

    /// The cells that what is near lies in; `None` if they are more than `most`.
    pub(super) fn cells(&self, most: usize) -> Option<Vec<Cell>> {
        let reach = self.distance_mm * i128::from(DEGREE) / DEGREE_MM + 1;
        let reach = i64::try_from(reach).ok()?;
        let farthest = self.center.latitude.abs() + reach;
        if farthest >= LATITUDE_MAX {
            return None;
        }
        // The parallels are shorter towards the poles: more degrees for the same way.
        let cosine = ONE - versine(radians(farthest));
        let aside = i64::try_from(i128::from(reach) * ONE / cosine + 1).ok()?;
        if aside >= 180 * DEGREE {
            return None;
        }
        let rows = around(self.center.latitude, reach);
        let columns = around(self.center.longitude, aside);
        let count = |(first, last): (i64, i64)| usize::try_from(last - first + 1).ok();
        if count(rows)?.checked_mul(count(columns)?)? > most {
            return None;
        }
        let cells = (rows.0..=rows.1).flat_map(|row| {
            (columns.0..=columns.1).map(move |column| [row, column.rem_euclid(360 * DEGREE / CELL)])
        });
        Some(cells.collect())
    }
}

fn around(center: i64, reach: i64) -> (i64, i64) {
    let bound = |at: i64| at.div_euclid(CELL);
    (bound(center - reach), bound(center + reach))
}

fn millimetres(distance: Decimal, unit: &str) -> Result<i128, QueryProblem> {
    let unit = match unit {
        "" => "km",
        "mi" => "[mi_i]",
        unit => unit,
    };
    let conversion = Conversion::of(unit).filter(|conversion| conversion.unit == "m");
    let conversion = conversion.ok_or(QueryProblem::ValueUnsupported)?;
    let metres = conversion.apply(distance);
    let distance = metres.and_then(|metres| scaled(metres, 3));
    let distance = distance.filter(|distance| *distance >= 0);
    let distance = distance.ok_or(QueryProblem::ValueMalformed)?;
    Ok(distance.min(DISTANCE_MAX_MM))
}

/// The number times ten to the power of `digits`, what is behind the point cut off.
fn scaled(value: Decimal, digits: i32) -> Option<i128> {
    let shift = value.exponent().checked_add(digits)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    if shift < 0 {
        return Some(power.map_or(0, |power| value.mantissa() / power));
    }
    value.mantissa().checked_mul(power?)
}

fn radians(parts: i64) -> i128 {
    i128::from(parts) * PI / (180 * i128::from(DEGREE))
}

/// `1 - cos x` by its series, for angles up to half a turn.
fn versine(angle: i128) -> i128 {
    let square = angle * angle / ONE;
    let mut term = square / 2;
    let mut sum = 0;
    let mut factor = 2;
    while term != 0 {
        sum += term;
        term = -term * square / ONE / ((factor + 1) * (factor + 2));
        factor += 2;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(latitude: &str, longitude: &str) -> Position {
        let number = |text| Decimal::parse(text).unwrap();
        Position::at(number(latitude), number(longitude)).unwrap()
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        // Paris to London is 343.9 km, across the date line at 65° north two degrees are 94.0 km.
        for (near, (latitude, longitude), expected) in [
            ("48.8566|2.3522|344.5|km", ("51.5074", "-0.1278"), true),
            ("48.8566|2.3522|343.0|km", ("51.5074", "-0.1278"), false),
            ("48.8566|2.3522|214|[mi_i]", ("51.5074", "-0.1278"), true),
            ("48.8566|2.3522|213|mi", ("51.5074", "-0.1278"), false),
            ("65|179|94.5", ("65", "-179"), true),
            ("65|179|93.5", ("65", "-179"), false),
            ("90|0|1|km", ("90", "120"), true),
            ("0|0|1|m", ("0.000008", "0"), true),
            ("0|0|1|m", ("0.00001", "0"), false),
            ("10|10", ("10.4", "10"), true),
            ("10|10", ("10.5", "10"), false),
            ("0|0|99999|km", ("0", "180"), true),
        ] {
            let near_read = Near::parse(near).unwrap();
            assert_eq!(
                near_read.reaches(at(latitude, longitude)),
                expected,
                "{near}"
            );
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "1",
            "a|b",
            "91|0",
            "0|361",
            "1|2|-3",
            "1|2|x|km",
            "1|2|3|km|5",
            "1e40|0",
        ] {
            assert!(
                Near::parse(text) == Err(QueryProblem::ValueMalformed),
                "{text}"
            );
        }
        for text in ["1|2|3|kg", "1|2|3|miles"] {
            assert!(
                Near::parse(text) == Err(QueryProblem::ValueUnsupported),
                "{text}"
            );
        }
        assert!(Position::of(&json!({"latitude": 1.5})).is_none());
        assert!(Position::of(&json!({"latitude": 1.5, "longitude": 2})).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_near_is_in_one_of_the_cells(
            latitude in -900_000_000..=900_000_000_i64,
            longitude in -1_800_000_000..=1_800_000_000_i64,
            (up, aside) in (-30_000_000..30_000_000_i64, -60_000_000..60_000_000_i64),
            distance_mm in 0..400_000_000_i128,
        ) {
            let center = Position { latitude, longitude };
            let near = Near { center, distance_mm };
            let there = Position {
                latitude: (latitude + up).clamp(-90 * DEGREE, 90 * DEGREE),
                longitude: longitude + aside,
            };
            if let Some(cells) = near.cells(4_096) && near.reaches(there) {
                prop_assert!(cells.contains(&there.cell()));
            }
            prop_assert!(near.reaches(center));
        }
    }
}
