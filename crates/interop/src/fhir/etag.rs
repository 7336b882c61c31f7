//! ETags: the version of a resource as `ETag`, `If-Match` and `ifMatch` have it.

/// The weak ETag of a version: `W/"3"`.
pub fn format(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// The version in an ETag; `W/` may be missing, as some clients leave it out.
pub fn parse(etag: &str) -> Option<u64> {
    let quoted = etag.strip_prefix("W/").unwrap_or(etag);
    let digits = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_round_trip_and_nothing_else_is_one() {
        for version in [0, 1, 17, u64::MAX] {
            assert_eq!(parse(&format(version)), Some(version));
        }
        assert_eq!(parse("\"3\""), Some(3));
        for text in [
            "",
            "3",
            "W/3",
            "W/\"\"",
            "W/\"+3\"",
            "W/\"a\"",
            "*",
            "W/\"3",
            "\"18446744073709551616\"",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
