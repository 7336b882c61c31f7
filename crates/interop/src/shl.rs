//! SMART Health Links (<https://hl7.org/fhir/uv/smart-health-cards-and-links/STU1/links-specification.html>): the link
//! itself, and what its manifest says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// The scheme of a link.
const SCHEME: &str = "shlink:/";
/// Bytes of a link at most, before it is looked at.
const LINK_BYTES_MAX: usize = 8 * 1024;
/// Characters of a manifest's address at most.
pub const URL_CHARS_MAX: usize = 128;
/// Characters of a label at most.
pub const LABEL_CHARS_MAX: usize = 80;

/// A link: where its files are, and the key that opens them. Whoever has it has what is behind it.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// The manifest's address, or with [`Link::is_direct`] the file's.
    pub url: String,
    /// Opens the files.
    pub key: [u8; 32],
    /// When it ends, seconds since 1970.
    pub expires: Option<u64>,
    /// What the sharer calls it.
    pub label: Option<String>,
    /// Flag `P`: it takes a passcode.
    pub takes_passcode: bool,
    /// Flag `U`: the address answers with the only file.
    pub is_direct: bool,
}

/// Why a text is no link that can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It is something else.
    #[error("it is no SMART Health Link: `shlink:/` and what follows it")]
    Malformed,
    /// Its version is a later one.
    #[error("it is a SMART Health Link of a later version than 1")]
    Version,
}

/// A file of a manifest.
#[derive(Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// The media type of what is sealed.
    pub content_type: String,
    /// The sealed file, or where it is.
    pub place: Place,
}

/// Where a sealed file is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// In the manifest.
    Embedded(String),
    /// At this address, for a while.
    At(String),
}

impl Link {
    /// The link as a text.
    pub fn to_text(&self) -> String {
        let mut payload = Map::new();
        payload.insert("url".to_owned(), self.url.clone().into());
        let key = URL_SAFE_NO_PAD.encode(self.key);
        payload.insert("key".to_owned(), key.into());
        if let Some(expires) = self.expires {
            payload.insert("exp".to_owned(), expires.into());
        }
        let flags = [(self.takes_passcode, "P"), (self.is_direct, "U")];
        let flags: String = flags
            .into_iter()
            .filter_map(|(is_set, flag)| is_set.then_some(flag))
            .collect();
        if !flags.is_empty() {
            payload.insert("flag".to_owned(), flags.into());
        }
        if let Some(label) = &self.label {
            payload.insert("label".to_owned(), label.clone().into());
        }
        let payload = Value::Object(payload).to_string();
        format!("{SCHEME}{}", URL_SAFE_NO_PAD.encode(payload))
    }

    /// Reads a link, with or without the address of a viewer before it.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        if text.len() > LINK_BYTES_MAX {
            return Err(LinkError::Malformed);
        }
        let payload = match text.strip_prefix(SCHEME) {
            Some(payload) => payload,
            None => text
                .split_once('#')
                .and_then(|(_, link)| link.strip_prefix(SCHEME))
                .ok_or(LinkError::Malformed)?,
        };
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('='));
        let payload: Value = payload
            .ok()
            .and_then(|payload| serde_json::from_slice(&payload).ok())
            .ok_or(LinkError::Malformed)?;
        if payload
            .get("v")
            .is_some_and(|version| version.as_u64() != Some(1))
        {
            return Err(LinkError::Version);
        }
        Self::of(&payload).ok_or(LinkError::Malformed)
    }

    fn of(payload: &Value) -> Option<Self> {
        let text = |name: &str| payload.get(name).and_then(Value::as_str);
        let key = URL_SAFE_NO_PAD.decode(text("key")?).ok()?;
        let flags = text("flag").unwrap_or_default();
        let link = Self {
            url: text("url")?.to_owned(),
            key: key.try_into().ok()?,
            expires: payload.get("exp").and_then(seconds),
            label: text("label").map(str::to_owned),
            takes_passcode: flags.contains('P'),
            is_direct: flags.contains('U'),
        };
        let is_sound =
            link.url.chars().count() <= URL_CHARS_MAX && !(link.takes_passcode && link.is_direct);
        is_sound.then_some(link)
    }
}

/// A number of seconds, of which others write fractions.
fn seconds(value: &Value) -> Option<u64> {
    let text = value.as_number()?.to_string();
    text.split('.').next()?.parse().ok()
}

/// A manifest with these files.
pub fn manifest(files: &[ManifestFile]) -> Value {
    let files = files.iter().map(|file| {
        let mut entry = json!({ "contentType": file.content_type });
        match &file.place {
            Place::Embedded(jwe) => entry["embedded"] = jwe.clone().into(),
            Place::At(url) => entry["location"] = url.clone().into(),
        }
        if file.content_type == "application/fhir+json" {
            entry["fhirVersion"] = "4.0.1".into();
        }
        entry
    });
    json!({ "files": files.collect::<Vec<_>>() })
}

/// The files of a manifest; `None` if it is none.
pub fn files(manifest: &Value) -> Option<Vec<ManifestFile>> {
    let files = manifest.get("files")?.as_array()?.iter().map(|entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        let place = match (text("embedded"), text("location")) {
            (Some(jwe), _) => Place::Embedded(jwe),
            (None, Some(url)) => Place::At(url),
            (None, None) => return None,
        };
        Some(ManifestFile {
            content_type: text("contentType")?,
            place,
        })
    });
    files.collect()
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

redacted!(Link, ManifestFile, Place);

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const EXAMPLE: &str = "eyJ1cmwiOiJodHRwczovL2Voci5leGFtcGxlLm9yZy9xci9ZOXh3a1VkdG1OOXd3b0pvTjNmZkpJaFgyVUd2Q0w\
        xSm5sUFZOTDNrRFdNL20iLCJmbGFnIjoiTFAiLCJrZXkiOiJyeFRnWWxPYUtKUEZ0Y0VkMHFjY2VOOHdFVTRwOTRTcUF3SVdRZTZ1WDdRIi\
        wibGFiZWwiOiJCYWNrLXRvLXNjaG9vbCBpbW11bml6YXRpb25zIGZvciBPbGl2ZXIgQnJvd24ifQ";

    fn link() -> Link {
        Link {
            url: "https://clinic.example/shl/abc".to_owned(),
            key: [7; 32],
            expires: Some(1_780_000_000),
            label: Some("Summary".to_owned()),
            takes_passcode: true,
            is_direct: false,
        }
    }

    #[test]
    fn the_example_of_the_specification_is_read_with_a_viewer_before_it_too() {
        let plain = Link::parse(&format!("shlink:/{EXAMPLE}")).unwrap();
        let viewed = Link::parse(&format!("https://viewer.example.org#shlink:/{EXAMPLE}"));
        assert!(viewed.unwrap() == plain);
        let url = "https://ehr.example.org/qr/Y9xwkUdtmN9wwoJoN3ffJIhX2UGvCL1JnlPVNL3kDWM/m";
        assert_eq!(plain.url, url);
        assert!(plain.takes_passcode && !plain.is_direct);
        let label = "Back-to-school immunizations for Oliver Brown";
        assert_eq!(plain.label.as_deref(), Some(label));
    }

    #[test]
    fn a_link_is_read_as_it_was_written_and_shows_no_key() {
        assert!(Link::parse(&link().to_text()).unwrap() == link());
        assert_eq!(format!("{:?}", link()), "Link(..)");
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let of = |payload: Value| {
            let text = URL_SAFE_NO_PAD.encode(payload.to_string());
            Link::parse(&format!("shlink:/{text}")).unwrap_err()
        };
        let key = URL_SAFE_NO_PAD.encode([7; 32]);
        let url = "https://x.example/shl/1";
        assert_eq!(
            of(json!({ "url": url, "key": key, "v": 2 })),
            LinkError::Version
        );
        let long = format!("https://x.example/{}", "a".repeat(URL_CHARS_MAX));
        for payload in [
            json!({ "url": url, "key": "AAAA" }),
            json!({ "key": key }),
            json!({ "url": url, "key": key, "flag": "PU" }),
            json!({ "url": long, "key": key }),
            json!([]),
        ] {
            assert_eq!(of(payload), LinkError::Malformed);
        }
        for text in ["", "shlink:/", "shlink:/!!!", "https://x.example/"] {
            assert_eq!(Link::parse(text).unwrap_err(), LinkError::Malformed);
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let file = |place| ManifestFile {
            content_type: "application/fhir+json".to_owned(),
            place,
        };
        let given = [
            file(Place::Embedded("a..b.c.d".to_owned())),
            file(Place::At("https://x.example/1".to_owned())),
        ];
        assert!(files(&manifest(&given)).unwrap() == given);
        let neither = json!({ "files": [{ "contentType": "text/plain" }] });
        assert!(files(&neither).is_none() && files(&json!({})).is_none());
    }
}
