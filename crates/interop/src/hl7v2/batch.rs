//! Batch files: FHS, BHS, messages, BTS, FTS (HL7 v2.8, chapter 2.10.3).

use super::ack::{echo, moment};
use super::fault::{ErrorCode, Fault, Place};
use super::read::raw_header_field;

/// Whether bytes are a batch with a header, and no single message.
pub fn is_batch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"FHS") || bytes.starts_with(b"BHS")
}

/// The acknowledgements of the messages of a batch as a batch; it names the batch that it answers.
pub fn answer_batch(batch: &[u8], answers: &[Vec<u8>], time_ms: i64) -> Vec<u8> {
    let field = |number| echo(raw_header_field(batch, number));
    let [from, at, to, there, number] = [3, 4, 5, 6, 11].map(field);
    let header = format!(
        "|^~\\&|{to}|{there}|{from}|{at}|{}|||||{number}\r",
        moment(time_ms)
    );
    let mut out = Vec::new();
    let is_file = batch.starts_with(b"FHS");
    if is_file {
        out.extend_from_slice(format!("FHS{header}").as_bytes());
    }
    out.extend_from_slice(format!("BHS{header}").as_bytes());
    for answer in answers {
        out.extend_from_slice(answer);
    }
    out.extend_from_slice(format!("BTS|{}\r", answers.len()).as_bytes());
    if is_file {
        out.extend_from_slice(b"FTS|1\r");
    }
    out
}

/// The messages of a file in their order, each as its bytes. A file without headers is a row of messages.
///
/// # Errors
///
/// What stands outside a message and is no header or trailer; a count in BTS-1 or FTS-1 that is not what was found: the
/// file was cut.
pub fn split(file: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    let mut reading = Reading::default();
    let mut messages: Vec<&[u8]> = Vec::new();
    let mut begun: Option<usize> = None;
    let mut at = 0;
    for line in file.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
        let name = line.get(..3).unwrap_or(line);
        let is_envelope = matches!(name, b"FHS" | b"BHS" | b"BTS" | b"FTS");
        if is_envelope || name == b"MSH" {
            messages.extend(begun.take().and_then(|from| file.get(from..at)));
        }
        if name == b"MSH" {
            begun = Some(at);
        } else if is_envelope {
            reading.envelope(name, line, messages.len())?;
        } else if begun.is_none() && !line.trim_ascii().is_empty() {
            return Err(Fault::error(
                place(name),
                ErrorCode::SegmentSequence,
                "MSH or a batch header",
            ));
        }
        at += line.len();
    }
    messages.extend(begun.and_then(|from| file.get(from..at)));
    reading.end()?;
    Ok(messages)
}

#[derive(Default)]
struct Reading {
    is_in_file: bool,
    is_in_batch: bool,
    batches: usize,
    before_batch: usize,
}

impl Reading {
    fn envelope(&mut self, name: &[u8], line: &[u8], messages: usize) -> Result<(), Fault> {
        let found = match name {
            b"FHS" if !self.is_in_file && !self.is_in_batch && messages == 0 => {
                self.is_in_file = true;
                return Ok(());
            }
            b"BHS" if !self.is_in_batch => {
                self.is_in_batch = true;
                self.before_batch = messages;
                return Ok(());
            }
            b"BTS" if self.is_in_batch => {
                self.is_in_batch = false;
                self.batches += 1;
                messages - self.before_batch
            }
            b"FTS" if self.is_in_file && !self.is_in_batch => {
                self.is_in_file = false;
                self.batches
            }
            _ => {
                return Err(Fault::error(
                    place(name),
                    ErrorCode::SegmentSequence,
                    "headers and trailers in pairs",
                ));
            }
        };
        match count(line) {
            Some(count) if count != found => {
                let place = place(name).field(1);
                Err(Fault::error(
                    place,
                    ErrorCode::SegmentSequence,
                    "as many as were found before it",
                ))
            }
            _ => Ok(()),
        }
    }

    fn end(&self) -> Result<(), Fault> {
        let missing: &[u8] = match (self.is_in_batch, self.is_in_file) {
            (true, _) => b"BTS",
            (false, true) => b"FTS",
            (false, false) => return Ok(()),
        };
        Err(Fault::error(
            place(missing),
            ErrorCode::SegmentSequence,
            "a trailer: the file was cut",
        ))
    }
}

fn place(name: &[u8]) -> Place {
    Place::segment(std::str::from_utf8(name).unwrap_or_default(), 1)
}

/// The first field, if it is a number.
fn count(line: &[u8]) -> Option<usize> {
    let separator = line.get(3)?;
    let field = line.get(4..)?.split(|byte| byte == separator).next()?;
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}
