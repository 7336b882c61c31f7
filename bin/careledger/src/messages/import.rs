//! `careledger messages import`: a file's messages, in their order, some at a time.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use interop::hl7v2::split;
use serde_json::Value;

use super::string;
use crate::client::{Client, Request};

/// Bytes of messages that are sent at once, about.
const BYTES_AT_ONCE: usize = 256 << 10;

pub(super) async fn run(
    client: &Client,
    file: &Path,
    listener: &str,
    is_json: bool,
) -> anyhow::Result<()> {
    let bytes = std::fs::read(file);
    let bytes = bytes.with_context(|| format!("{} cannot be read", file.display()))?;
    let messages = split(&bytes).map_err(|fault| {
        let file = file.display();
        anyhow::anyhow!("nothing was sent: {file} is no batch of HL7 v2: {fault}")
    })?;
    let mut out = std::io::stdout();
    let (mut accepted, mut others) = (0_usize, 0_usize);
    for part in parts(&messages) {
        let request = Request {
            body: part,
            headers: Vec::new(),
        };
        let path = format!("$v2-import?listener={listener}");
        let answer = client.post(&path, &request).await?.ok()?.json()?;
        for one in answer["parameter"].as_array().into_iter().flatten() {
            let said = Said::of(one);
            if said.code == "AA" {
                accepted += 1;
                continue;
            }
            others += 1;
            if !is_json {
                let Said {
                    control_id,
                    code,
                    reasons,
                } = said;
                writeln!(out, "{control_id}  {code}  {}", reasons.join("; "))?;
            }
        }
    }
    if is_json {
        let sum = serde_json::json!({ "filed": accepted, "not_filed": others });
        writeln!(out, "{sum}")?;
    } else {
        writeln!(out, "{accepted} of {} messages are filed", messages.len())?;
    }
    anyhow::ensure!(
        others == 0,
        "{others} messages are not filed: `careledger messages list` has those that were kept"
    );
    Ok(())
}

/// How a message was acknowledged.
struct Said {
    control_id: String,
    code: String,
    reasons: Vec<String>,
}

impl Said {
    fn of(answer: &Value) -> Self {
        let parts: Vec<&Value> = answer["part"].as_array().into_iter().flatten().collect();
        let all = |name: &str| -> Vec<String> {
            let named = parts.iter().filter(|part| part["name"] == name);
            named.map(|part| string(&part["valueString"])).collect()
        };
        let first = |name: &str| all(name).into_iter().next().unwrap_or_default();
        Self {
            control_id: first("control-id"),
            code: first("code"),
            reasons: all("reason"),
        }
    }
}

/// Messages put together, as many as go at once.
fn parts(messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for message in messages {
        match parts.last_mut() {
            Some(part) if part.len() + message.len() <= BYTES_AT_ONCE => {
                part.extend_from_slice(message);
            }
            _ => parts.push(message.to_vec()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_whole_messages_in_their_order() {
        let long = vec![b'x'; BYTES_AT_ONCE];
        let messages: [&[u8]; 4] = [b"a", b"b", &long, b"c"];
        let parts = parts(&messages);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts.concat(), messages.concat());
    }
}
