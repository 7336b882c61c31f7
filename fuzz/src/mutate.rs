//! Mutations: what a slip of the hand or an adversary makes of valid bytes.

use crate::draw::Draw;

/// No mutation makes an input longer than this.
const BYTES_MAX: usize = 256 * 1024;
/// Bytes with a meaning of their own in CBOR, DER, borsh or text.
const TELLING: [u8; 24] = [
    0x00, 0x01, 0x0a, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x20, 0x30, 0x40, 0x58, 0x5f, 0x7f, 0x80,
    0x81, 0x98, 0x9f, 0xa0, 0xbf, 0xf6, 0xf7, 0xff,
];
/// Numbers at which arithmetic and allocation go wrong.
const BOUNDARIES: [u64; 16] = [
    0,
    1,
    0x17,
    0x18,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 48,
    i64::MAX.cast_unsigned(),
    u64::MAX,
];
/// Pieces that text formats trip over.
const PIECES: [&str; 22] = [
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    " ",
    "+",
    "-",
    "=",
    "\u{2014} ",
    "\u{e9}",
    "\u{1f9ec}",
    "\u{0}",
    "18446744073709551616",
    "-1",
    "1e999999999",
    "9999-12-31T23:59:60Z",
    "00",
    "\"",
    "\\u0000",
    "{}",
    "[]",
    ",",
];

/// One to four mutations of one of `seeds`.
pub fn mutated(seeds: &[Vec<u8>], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = draw.pick(seeds).clone();
    for _ in 0..=draw.below(4) {
        match draw.below(11) {
            0 | 1 => flip_bits(&mut bytes, draw),
            2 => set_byte(&mut bytes, draw),
            3 => truncate(&mut bytes, draw),
            4 => duplicate(&mut bytes, draw),
            5 => remove(&mut bytes, draw),
            6 => splice(&mut bytes, &seeds[draw.below(seeds.len())], draw),
            7 => set_number(&mut bytes, draw),
            8 => lie_about_a_length(&mut bytes, draw),
            9 => insert_text(&mut bytes, draw),
            _ => insert(&mut bytes, draw),
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn flip_bits(bytes: &mut [u8], draw: &mut Draw) {
    for _ in 0..=draw.below(3) {
        let at = draw.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << draw.below(8);
        }
    }
}

fn set_byte(bytes: &mut [u8], draw: &mut Draw) {
    let at = draw.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte = *draw.pick(&TELLING);
    }
}

fn truncate(bytes: &mut Vec<u8>, draw: &mut Draw) {
    bytes.truncate(draw.below(bytes.len() + 1));
}

fn range(bytes: &[u8], draw: &mut Draw) -> std::ops::Range<usize> {
    let start = draw.below(bytes.len());
    let most = (bytes.len() - start).min(1 << draw.below(9));
    start..start + draw.below(most + 1)
}

fn duplicate(bytes: &mut Vec<u8>, draw: &mut Draw) {
    let piece = bytes[range(bytes, draw)].to_vec();
    let at = draw.below(bytes.len() + 1);
    let times = 1 + draw.below(3);
    bytes.splice(at..at, piece.repeat(times));
}

fn remove(bytes: &mut Vec<u8>, draw: &mut Draw) {
    let range = range(bytes, draw);
    bytes.drain(range);
}

fn splice(bytes: &mut Vec<u8>, other: &[u8], draw: &mut Draw) {
    let piece = range(other, draw);
    let at = range(bytes, draw);
    if draw.flip() {
        bytes.truncate(at.start);
        bytes.extend(&other[piece.start..]);
    } else {
        bytes.splice(at, other[piece].iter().copied());
    }
}

fn set_number(bytes: &mut [u8], draw: &mut Draw) {
    let number = *draw.pick(&BOUNDARIES);
    let width = *draw.pick(&[1_usize, 2, 4, 8]);
    let encoded = if draw.flip() {
        number.to_be_bytes()[8 - width..].to_vec()
    } else {
        number.to_le_bytes()[..width].to_vec()
    };
    let at = draw.below(bytes.len());
    for (to, from) in bytes.iter_mut().skip(at).zip(encoded) {
        *to = from;
    }
}

/// Replaces the head of a CBOR item: another length, or the same length written longer.
fn lie_about_a_length(bytes: &mut Vec<u8>, draw: &mut Draw) {
    let heads: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at] & 0x1f <= 0x1b)
        .collect();
    if heads.is_empty() {
        return;
    }
    let at = *draw.pick(&heads);
    let (major, info) = (bytes[at] & 0xe0, usize::from(bytes[at] & 0x1f));
    let width = match info {
        0x18..=0x1b => 1 << (info - 0x18),
        _ => 0,
    };
    let end = (at + 1 + width).min(bytes.len());
    let was = bytes[at + 1..end]
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let was = if width == 0 { info as u64 } else { was };
    let number = match draw.below(4) {
        0 => was,
        1 => was.wrapping_add(1),
        2 => was.wrapping_sub(1),
        _ => *draw.pick(&BOUNDARIES),
    };
    let exponent = draw.below(4);
    let short = u8::try_from(number).ok().filter(|short| *short < 0x18);
    let head = if draw.below(8) == 0 {
        vec![major | 0x1f]
    } else if let Some(short) = short.filter(|_| draw.flip()) {
        vec![major | short]
    } else {
        let tail = &number.to_be_bytes()[8 - (1 << exponent)..];
        [&[major | 0x18 | u8::try_from(exponent).unwrap_or(0)], tail].concat()
    };
    bytes.splice(at..end, head);
}

fn insert_text(bytes: &mut Vec<u8>, draw: &mut Draw) {
    let at = draw.below(bytes.len() + 1);
    bytes.splice(at..at, draw.pick(&PIECES).bytes());
}

fn insert(bytes: &mut Vec<u8>, draw: &mut Draw) {
    let at = draw.below(bytes.len() + 1);
    let piece = if draw.flip() {
        draw.bytes(40)
    } else {
        vec![*draw.pick(&TELLING); draw.below(70)]
    };
    bytes.splice(at..at, piece);
}
