//! The sender's side of MLLP, for what is tried against a node.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// How long an acknowledgement may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
const END: &[u8] = b"\x1c\r";

/// A sender's connection.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn to(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a message, and waits for the next acknowledgement.
    pub(crate) async fn ask(&mut self, message: &str) -> anyhow::Result<String> {
        let frame = [b"\x0b", message.as_bytes(), END].concat();
        let asked = async {
            self.0.write_all(&frame).await?;
            let mut answer = Vec::new();
            while !answer.ends_with(END) {
                let read = self.0.read_until(b'\r', &mut answer).await?;
                anyhow::ensure!(read > 0, "the connection ended before an acknowledgement");
            }
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let in_time = tokio::time::timeout(ACKNOWLEDGED, asked).await;
        in_time.context("no acknowledgement came")?
    }
}

/// The code of an acknowledgement: MSA-1.
pub(crate) fn code(answer: &str) -> &str {
    let acknowledged = answer.split_once("\rMSA|");
    acknowledged
        .and_then(|(_, rest)| rest.split('|').next())
        .unwrap_or_default()
}
