//! How many members it takes, as the library asks for it: a type for each k.

use commonware_utils::Faults;
use num_traits::ToPrimitive;

/// It takes `K` members, however many there are: so k stays when a key is dealt to other members.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes<const K: u32>;

impl<const K: u32> Faults for Takes<K> {
    fn max_faults(n: impl ToPrimitive) -> u32 {
        n.to_u32().unwrap_or(0).saturating_sub(K)
    }
}

/// Evaluates an expression with `$takes` as the type for `$k`; nothing if there is none.
macro_rules! for_k {
    ($k:expr, $takes:ident => $value:expr) => {
        match $k {
            2 => for_k!(@ 2, $takes => $value),
            3 => for_k!(@ 3, $takes => $value),
            4 => for_k!(@ 4, $takes => $value),
            5 => for_k!(@ 5, $takes => $value),
            6 => for_k!(@ 6, $takes => $value),
            7 => for_k!(@ 7, $takes => $value),
            _ => None,
        }
    };
    (@ $number:literal, $takes:ident => $value:expr) => {{
        type $takes = $crate::release::faults::Takes<$number>;
        Some($value)
    }};
}

pub(super) use for_k;

/// Whether k of n make a committee (R4).
pub(super) fn is_sound(k: u32, n: usize) -> bool {
    let Ok(n) = u32::try_from(n) else {
        return false;
    };
    (2..=super::K_MAX).contains(&k) && k <= n && n < 2 * k
}
