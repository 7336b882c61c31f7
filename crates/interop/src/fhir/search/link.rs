//! URLs of searches.

const HEX: &[u8; 16] = b"0123456789ABCDEF";

pub(super) fn build(base: &str, path: &str, pairs: &[(String, String)]) -> String {
    let base = base.trim_end_matches('/');
    let mut url = if path.is_empty() {
        base.to_owned()
    } else {
        format!("{base}/{path}")
    };
    let mut separator = '?';
    for (name, value) in pairs {
        url.push(separator);
        encode(name, &mut url);
        url.push('=');
        encode(value, &mut url);
        separator = '&';
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
