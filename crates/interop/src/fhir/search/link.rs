//! URLs of searches.

use crate::fhir::ResourceType;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

pub(super) fn build(
    base: &str,
    resource_type: ResourceType,
    pairs: &[(String, String)],
    offset: Option<usize>,
) -> String {
    let mut url = format!("{}/{resource_type}", base.trim_end_matches('/'));
    let mut separator = '?';
    let mut add = |name: &str, value: &str| {
        url.push(separator);
        encode(name, &mut url);
        url.push('=');
        encode(value, &mut url);
        separator = '&';
    };
    for (name, value) in pairs
        .iter()
        .filter(|(name, _)| offset.is_none() || name != "_offset")
    {
        add(name, value);
    }
    if let Some(offset) = offset.filter(|offset| *offset > 0) {
        add("_offset", &offset.to_string());
    }
    url
}

fn encode(text: &str, url: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:,/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            for nibble in [byte >> 4, byte & 15] {
                url.push(char::from(HEX[usize::from(nibble)]));
            }
        }
    }
}
