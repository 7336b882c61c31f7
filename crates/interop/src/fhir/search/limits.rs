//! What a query may cost at most; one that would cost more is refused by name.

/// The page size when none is asked for.
pub const COUNT_DEFAULT: usize = 50;
/// The largest page; a larger `_count` is lowered to it.
pub const COUNT_MAX: usize = 1_000;
/// Parameters of one query.
pub const PARAMETERS_MAX: usize = 64;
/// Alternatives of one parameter, ids among them.
pub const VALUES_MAX: usize = 1_000;
/// Alternatives of a query as a whole, counted for each type and each way of a chain anew.
pub const ALL_VALUES_MAX: usize = 50_000;
/// Bytes of one value.
pub const VALUE_BYTES_MAX: usize = 64 * 1_024;
/// References that a chain or nested `_has` may follow.
pub const CHAIN_MAX: usize = 4;
/// Ways that a chain may lead, counted over all types that it can go through: a reference to any
/// resource leads 146 ways.
pub const WAYS_MAX: usize = 1_000;
/// `_include` and `_revinclude` of one query.
pub const INCLUDES_MAX: usize = 32;
/// Rounds of `:iterate`.
pub const ITERATIONS_MAX: usize = 8;
/// Resources that are included on one page.
pub const INCLUDED_MAX: usize = 1_000;
/// Resources in between that a chain may go through.
pub const LINKS_MAX: usize = 100_000;
/// Keys of `_sort`.
pub const SORT_KEYS_MAX: usize = 8;
/// Words of a narrative, and of the rest of a resource, that searches find; further ones are not looked at.
pub const WORDS_MAX: usize = 1_000;
/// Bytes of a word; what is longer is no word.
pub const WORD_BYTES_MAX: usize = 64;
/// Brackets within one another in `_filter`, `_text` and `_content`.
pub const EXPRESSION_DEPTH_MAX: usize = 16;
/// Comparisons of a `_filter`; words, phrases, brackets and connectives of `_text` and `_content`.
pub const EXPRESSION_TERMS_MAX: usize = 64;
