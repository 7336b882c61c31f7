//! What nodes send each other: messages of the exchange, gossip, the engine's blocks.

use node::chain::reread_frame;
use node::engine::reread_block;
use node::exchange::{MessageKind, reread};

use crate::Target;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "exchange-tags",
        run: |bytes| message(MessageKind::Tags, bytes),
    },
    Target {
        name: "exchange-sealed",
        run: |bytes| message(MessageKind::Sealed, bytes),
    },
    Target {
        name: "exchange-request",
        run: |bytes| message(MessageKind::Request, bytes),
    },
    Target {
        name: "exchange-ask",
        run: |bytes| message(MessageKind::Ask, bytes),
    },
    Target {
        name: "exchange-answer",
        run: |bytes| message(MessageKind::Answer, bytes),
    },
    Target {
        name: "exchange-statement-at",
        run: |bytes| message(MessageKind::StatementAt, bytes),
    },
    Target {
        name: "exchange-statement-bytes",
        run: |bytes| message(MessageKind::StatementBytes, bytes),
    },
    Target {
        name: "exchange-erase-notice",
        run: |bytes| message(MessageKind::EraseNotice, bytes),
    },
    Target {
        name: "exchange-erase-answer",
        run: |bytes| message(MessageKind::EraseAnswer, bytes),
    },
    Target {
        name: "exchange-care-services-after",
        run: |bytes| message(MessageKind::CareServicesAfter, bytes),
    },
    Target {
        name: "exchange-care-services",
        run: |bytes| message(MessageKind::CareServices, bytes),
    },
    Target {
        name: "exchange-question",
        run: |bytes| message(MessageKind::Question, bytes),
    },
    Target {
        name: "exchange-reply",
        run: |bytes| message(MessageKind::Reply, bytes),
    },
    Target {
        name: "exchange-handed",
        run: |bytes| message(MessageKind::Handed, bytes),
    },
    Target {
        name: "gossip-frame",
        run: frame,
    },
    Target {
        name: "engine-block",
        run: engine_block,
    },
];

const ENGINE_BLOCK_BYTES_MAX: usize = 4_096;

fn message(kind: MessageKind, bytes: &[u8]) {
    assert!(reread(kind, bytes).is_none_or(|again| again == bytes));
}

fn frame(bytes: &[u8]) {
    assert!(reread_frame(bytes).is_none_or(|again| again == bytes));
}

fn engine_block(bytes: &[u8]) {
    if let Some(again) = reread_block(bytes, ENGINE_BLOCK_BYTES_MAX) {
        assert_eq!(again, bytes);
        assert!(bytes.len() <= ENGINE_BLOCK_BYTES_MAX + 8 + 32 + 2 * 5);
    }
}
