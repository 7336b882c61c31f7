//! Sealed payloads, descriptors and wrapped keys: nothing but what was sealed opens.

use ledger::codec;
use vault::seal::{self, SealedPayload};
use vault::secret::DataKey;
use vault::wrap::{HpkeKeyPair, WrappedKey};
use zeroize::Zeroizing;

use crate::Target;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "sealed-payload",
        run: payload,
    },
    Target {
        name: "sealed-small",
        run: small,
    },
    Target {
        name: "wrapped-key",
        run: wrapped,
    },
];

/// The key of everything that is sealed here.
pub const KEY: [u8; 32] = [0x5a; 32];
/// The place of everything that is sealed here.
pub const PLACE: &[u8] = b"careledger/fuzz";
/// What begins everything that is sealed here.
pub const CLEAR: &[u8] = b"{\"resourceType\":\"Patient\"}";

fn payload(bytes: &[u8]) {
    if let Ok(sealed) = SealedPayload::from_bytes(bytes.to_vec()) {
        assert_eq!(sealed.as_bytes(), bytes);
        if let Ok(clear) = seal::open(&DataKey::from_bytes(KEY), PLACE, &sealed) {
            assert!(clear.starts_with(CLEAR), "something else was opened");
            let expected = usize::try_from(seal::sealed_bytes(clear.len() as u64)).unwrap();
            assert_eq!(expected, bytes.len());
        }
    }
}

fn small(bytes: &[u8]) {
    if let Ok(clear) = seal::open_small(&KEY, PLACE, bytes) {
        assert!(clear.starts_with(CLEAR), "something else was opened");
    }
}

fn wrapped(bytes: &[u8]) {
    if let Ok(wrapped) = codec::decode::<WrappedKey>("wrapped key", bytes) {
        assert_eq!(codec::encode(&wrapped), bytes);
        let pair = HpkeKeyPair::from_private(Zeroizing::new(KEY));
        if let Ok(key) = pair.unwrap(PLACE, &[], &wrapped) {
            assert_eq!(*key, KEY);
        }
    }
}
