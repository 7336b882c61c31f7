//! Seeds of what members say to each other, and validators.

use ledger::codec;
use ledger::ids::{Digest, Height, Tag};
use ledger::item::Opening;
use ledger::receipt::Receipt;
use minicbor::bytes::{ByteArray, ByteVec};

use super::Seeds;
use crate::world::{access, world};

pub(super) fn all() -> Seeds {
    let tag = Tag([1; 16]);
    let statements = world().statements.iter().take(2);
    let statements: Vec<_> = statements.map(|one| ByteVec::from(one.encode())).collect();
    let block = [
        &[4][..],
        &world().header().parent.0,
        &[3, 1, 2, 3],
        &[2, 9, 9],
    ];
    let frames = vec![
        codec::encode(&(0_u8, (statements,))),
        codec::encode(&(1_u8, (world().cosignature(),))),
    ];
    let statement = world().statements[1].encode();
    let tags = codec::encode(&(vec![tag, Tag([9; 16])],));
    let entries = codec::encode(&(vec![(tag, ByteVec::from(vec![0x81; 60]))],));
    vec![
        ("exchange-tags", vec![tags]),
        ("exchange-sealed", vec![entries]),
        ("exchange-request", vec![asked()]),
        ("exchange-ask", vec![ask()]),
        ("exchange-answer", vec![answer()]),
        ("exchange-question", vec![question()]),
        ("exchange-reply", vec![codec::encode(&(wrapped(),))]),
        ("exchange-handed", vec![handed(0), handed(2)]),
        ("exchange-statement-at", vec![vec![0x81, 7]]),
        ("exchange-care-services-after", vec![vec![0x81, 7]]),
        ("exchange-care-services", care_services()),
        (
            "exchange-statement-bytes",
            vec![codec::encode(&(ByteVec::from(statement),))],
        ),
        ("gossip-frame", frames),
        ("engine-block", vec![block.concat()]),
    ]
}

fn asked() -> Vec<u8> {
    let about = (
        Some("7"),
        "app",
        Some("physician"),
        "TREAT",
        "everything",
        "Patient/1",
    );
    let (practitioner, client, role, purpose, interaction, target) = about;
    let request = (
        world().genesis().network(),
        "hospital",
        "clinic",
        practitioner,
        client,
        role,
        purpose,
        interaction,
        target,
        vec![Tag([1; 16])],
        ByteArray::from([3; 32]),
        Height(90),
    );
    codec::encode(&request)
}

pub(super) fn ask() -> Vec<u8> {
    let signature = ByteArray::from([4; 64]);
    let signed = (ByteVec::from(asked()), Digest([5; 32]), signature);
    let descriptor = ByteVec::from(access().encode());
    codec::encode(&(signed, Tag([1; 16]), descriptor, Opening([2; 32])))
}

fn question() -> Vec<u8> {
    let encoding = codec::encode(&ByteVec::from(vec![0x11; 60]));
    let proof = codec::encode(&ByteArray::from([8; 32]));
    [&[0x83][..], &ask(), &encoding, &proof].concat()
}

fn handed(keys: u32) -> Vec<u8> {
    let keys = (0..keys).map(|epoch| (epoch, ByteArray::from([9; 32])));
    codec::encode(&(keys.collect::<Vec<_>>(),))
}

fn wrapped() -> (ByteArray<32>, ByteVec) {
    (ByteArray::from([6; 32]), ByteVec::from(vec![7; 48]))
}

fn answer() -> Vec<u8> {
    let tag = Tag([1; 16]);
    let sealed = ByteVec::from(vec![0x81; 60]);
    let key = wrapped();
    let descriptor = ByteVec::from(world().export.descriptor.clone());
    let bare = Receipt {
        cosigned: None,
        ..world().receipt.clone()
    };
    let granted = (tag, sealed, key, descriptor, Opening([2; 32]), Some(bare));
    codec::encode(&(vec![granted], vec![(tag, "consent")], Height(91)))
}

fn care_services() -> Vec<Vec<u8>> {
    let content = ByteVec::from(br#"{"resourceType":"Practitioner","id":"d1"}"#.to_vec());
    let written = ("Practitioner", "d1", 3_u64, content);
    let gone = ("Location", "l1", 2_u64);
    let (fhir, images) = ("https://a.example/fhir", "https://a.example/dicom-web");
    let listeners = vec!["mllp://127.0.0.1:2575"];
    vec![
        codec::encode(&(vec![written], 8_u64, 9_u64, fhir, listeners, images)),
        codec::encode(&(vec![gone], 9_u64, 9_u64, fhir, Vec::<&str>::new())),
    ]
}
