//! Frames (MLLP release 1 and 2): `0B`, a message, `1C 0D`.
//!
//! What stands between frames is passed over. A frame that begins within another shows that the other was cut off: what
//! was read of that one is dropped, and never acknowledged. The codecs on crates.io hold a frame that never ends in memory
//! without bound, and take two messages that arrive together for one.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

const START: u8 = 0x0b;
const END: [u8; 2] = [0x1c, 0x0d];

/// Bytes of a message at most: it becomes a document, in base64, within the bound of a resource.
pub(super) const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Reads and writes frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// How much of the buffer was looked at.
    seen: usize,
    is_inside: bool,
}

/// Why no further frame is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The frame does not end within the bound.
    #[error("a frame is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] io::Error),
}

impl Decoder for Frames {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        if !self.is_inside {
            let start = buffer.iter().position(|byte| *byte == START);
            // What precedes the start, and the start itself.
            buffer.advance(start.map_or(buffer.len(), |at| at + 1));
            self.is_inside = start.is_some();
            self.seen = 0;
        }
        if !self.is_inside {
            return Ok(None);
        }
        let unseen = buffer.get(self.seen..).unwrap_or_default();
        let end = unseen.windows(END.len()).position(|pair| *pair == END);
        let Some(end) = end else {
            // The last byte may be the first of the end.
            self.seen = buffer.len().saturating_sub(1);
            if buffer.len() > MESSAGE_BYTES_MAX {
                return Err(FrameError::TooLong);
            }
            return Ok(None);
        };
        let mut message = buffer.split_to(self.seen + end);
        buffer.advance(END.len());
        self.is_inside = false;
        if let Some(again) = message.iter().rposition(|byte| *byte == START) {
            message.advance(again + 1);
        }
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLong);
        }
        Ok(Some(message.freeze()))
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        let frame = self.decode(buffer)?;
        if frame.is_none() {
            // A frame that was cut off is nobody's.
            buffer.clear();
        }
        Ok(frame)
    }
}

impl Encoder<Vec<u8>> for Frames {
    type Error = FrameError;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut BytesMut) -> Result<(), FrameError> {
        buffer.reserve(message.len() + 1 + END.len());
        buffer.extend_from_slice(&[START]);
        buffer.extend_from_slice(&message);
        buffer.extend_from_slice(&END);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut codec, mut buffer, mut read) = (Frames::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                read.push(frame.to_vec());
            }
        }
        read
    }

    #[test]
    fn frames_are_read_whole_wherever_they_are_cut() {
        let sent = b"noise\x0bone\x1c\x0d\r\n\x0btwo\x1cx\x1c\x0d\x0bthree\x1c\x0d";
        let expected = vec![b"one".to_vec(), b"two\x1cx".to_vec(), b"three".to_vec()];
        assert_eq!(frames(&[sent]), expected);
        for at in 0..sent.len() {
            let (first, second) = sent.split_at(at);
            assert_eq!(frames(&[first, second]), expected, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(frames(&bytes), expected);
    }

    #[test]
    fn a_frame_that_was_cut_off_is_dropped_when_the_next_begins() {
        assert_eq!(
            frames(&[b"\x0bcut o\x0bwhole\x1c\x0d"]),
            [b"whole".to_vec()]
        );
    }

    #[test]
    fn a_frame_that_never_ends_is_refused_within_bounds() {
        let (mut codec, mut buffer) = (Frames::default(), BytesMut::from(&b"\x0b"[..]));
        let refused = loop {
            buffer.extend_from_slice(&[b'x'; 1 << 16]);
            match codec.decode(&mut buffer) {
                Ok(frame) => assert!(frame.is_none()),
                Err(error) => break error,
            }
            assert!(buffer.len() <= MESSAGE_BYTES_MAX + (1 << 16));
        };
        assert!(matches!(refused, FrameError::TooLong));
    }
}
