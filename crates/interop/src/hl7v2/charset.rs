//! Character sets: MSH-18 and table 0211.

use encoding_rs::Encoding;

/// The encoding that a code of table 0211 names; `None` if it is not read here.
///
/// Labels of ISO 8859 stand for their supersets in the WHATWG encoding standard; what differs are control characters.
pub(super) fn by_code(code: &str) -> Option<&'static Encoding> {
    let folded = code.trim().to_ascii_uppercase().replace(['_', '-'], " ");
    let label = match folded.as_str() {
        // ASCII is a subset; senders that say so and mean UTF-8 are many.
        "ASCII" | "UNICODE UTF 8" | "UTF 8" | "UTF8" | "UNICODE" | "ISO IR6" => "utf-8",
        "8859/1" | "ISO IR100" => "iso-8859-1",
        "8859/2" | "ISO IR101" => "iso-8859-2",
        "8859/3" | "ISO IR109" => "iso-8859-3",
        "8859/4" | "ISO IR110" => "iso-8859-4",
        "8859/5" | "ISO IR144" => "iso-8859-5",
        "8859/6" | "ISO IR127" => "iso-8859-6",
        "8859/7" | "ISO IR126" => "iso-8859-7",
        "8859/8" | "ISO IR138" => "iso-8859-8",
        "8859/9" | "ISO IR148" => "iso-8859-9",
        "8859/15" => "iso-8859-15",
        "ISO IR13" | "ISO IR14" | "ISO IR87" | "ISO IR159" => "iso-2022-jp",
        "GB 18030 2000" => "gb18030",
        "KS X 1001" => "euc-kr",
        "BIG 5" => "big5",
        "UNICODE UTF 16" => "utf-16",
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

/// Whether messages are read in it: their first segment has to be found before it is known.
pub(super) fn is_readable(encoding: &'static Encoding) -> bool {
    encoding.is_ascii_compatible() || encoding == encoding_rs::ISO_2022_JP
}

/// The text of the bytes; `None` if they are not of that encoding.
pub(super) fn decode(bytes: &[u8], encoding: &'static Encoding) -> Option<String> {
    let (text, _, is_broken) = encoding.decode(bytes);
    (!is_broken).then(|| text.into_owned())
}
