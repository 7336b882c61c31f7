//! What the words of resources cost an index.

use interop::fhir::Resource;
use interop::fhir::search::{IndexTerms, LookupKey};
use serde_json::Value;

use crate::sample;

fn words(terms: &IndexTerms) -> usize {
    let is_word = |key: &&LookupKey| {
        let bytes = key.as_bytes();
        bytes.starts_with(b"_text\0") || bytes.starts_with(b"_content\0")
    };
    terms.lookup_keys().iter().filter(is_word).count()
}

/// Without those of everything, words are few; with them an index has about twice the keys, so a member chooses.
#[test]
fn words_of_narratives_are_few_of_the_keys() {
    let [mut resources, mut others, mut narratives, mut all] = [0; 4];
    for (_, bytes) in sample::bundles() {
        let bundle: Value = serde_json::from_slice(&bytes).unwrap();
        for entry in bundle["entry"].as_array().unwrap() {
            let resource = Resource::from_value(entry["resource"].clone()).unwrap();
            let terms = IndexTerms::of(&resource);
            let own = words(&terms);
            resources += 1;
            others += terms.lookup_keys().len() - own;
            narratives += own;
            all += words(&IndexTerms::with_content(&resource));
        }
    }
    println!(
        "{resources} resources: {others} keys, {narratives} for narratives, {all} for all words"
    );
    assert!(narratives * 4 <= others);
}
