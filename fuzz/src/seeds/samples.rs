//! Messages and documents of other systems: the samples of `interop`.

use super::Seeds;

pub(super) fn ccda() -> Seeds {
    let documents: [&[u8]; 2] = [
        include_bytes!("../../../crates/interop/tests/fixtures/ccda/ccd.xml"),
        include_bytes!("../../../crates/interop/tests/fixtures/ccda/discharge.xml"),
    ];
    vec![("ccda", documents.map(<[u8]>::to_vec).to_vec())]
}

pub(super) fn hl7v2() -> Seeds {
    let messages = [
        include_str!("../../../crates/interop/tests/fixtures/hl7v2/adt-a01.hl7"),
        include_str!("../../../crates/interop/tests/fixtures/hl7v2/adt-a40.hl7"),
        include_str!("../../../crates/interop/tests/fixtures/hl7v2/mdm-t02.hl7"),
        include_str!("../../../crates/interop/tests/fixtures/hl7v2/oru-r01.hl7"),
        include_str!("../../../crates/interop/tests/fixtures/hl7v2/siu-s12.hl7"),
        include_str!("../../../crates/interop/tests/fixtures/hl7v2/vxu-v04.hl7"),
    ];
    let [admission, merge, ..] = messages;
    let batch = format!("FHS|^~\\&\rBHS|^~\\&\r{admission}{merge}BTS|2\rFTS|1\r");
    vec![
        (
            "hl7v2",
            messages.map(|one| one.as_bytes().to_vec()).to_vec(),
        ),
        ("hl7v2-batch", vec![batch.into_bytes()]),
    ]
}
