//! The worked examples under `docs/formats` are what the code produces: each block ` ```hex NAME ` there is compared.

#![cfg(test)]

mod example;

use std::collections::BTreeMap;
use std::path::Path;

use contracts::export;
use ledger::receipt::Trust;

use example::Example;

/// Every block of hexadecimal in the documents, by its name. Spaces, line breaks and what follows `;` are left out.
fn documented() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats");
    let mut blocks = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut parts = text.split("```hex ");
        parts.next();
        for part in parts {
            let (name, rest) = part.split_once('\n').unwrap();
            let (block, _) = rest.split_once("```").unwrap();
            let lines = block
                .lines()
                .map(|line| line.split(';').next().unwrap_or_default());
            let hex: String = lines.flat_map(str::split_whitespace).collect();
            let before = blocks.insert(name.trim().to_owned(), hex);
            assert!(
                before.is_none(),
                "{name} is there twice, in {}",
                path.display()
            );
        }
    }
    blocks
}

#[test]
fn p10_the_documented_examples_are_what_the_code_produces() {
    let documented = documented();
    let produced = Example::new().bytes();
    for (name, bytes) in &produced {
        let found = documented.get(*name).map(String::as_str);
        assert_eq!(
            found,
            Some(hex::encode(bytes).as_str()),
            "`{name}` in docs/formats"
        );
    }
    let unknown: Vec<_> = documented
        .keys()
        .filter(|name| !produced.contains_key(name.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "blocks that no code is compared with: {unknown:?}"
    );
}

#[test]
fn the_documented_export_verifies() {
    let example = Example::new();
    let trust = Trust {
        network: example.network,
        validators: example.validators.clone().into(),
        key_of: |member: &ledger::ids::MemberName, certificate| {
            (*member == example.member && certificate == example.certificate)
                .then(|| ed25519_zebra::VerificationKey::from(&example.node).into())
        },
    };
    let verified = export::verify(&example.export(), &trust).unwrap();
    assert_eq!((verified.version, verified.latest), (1, true));
    assert_eq!(verified.author, "Practitioner/7");
}
