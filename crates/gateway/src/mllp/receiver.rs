//! Sending messages: a connection for each, until the receiver has acknowledged.

use std::io;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use interop::hl7v2::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use super::frame::Frames;
use super::tls::MllpClientTls;

const CONNECTED: Duration = Duration::from_secs(10);
const ACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Where messages may be sent.
#[derive(Debug, Clone)]
pub struct MllpReceiver {
    /// By which subscriptions name it: `mllp:NAME`.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// As whom messages are sent: MSH-3 and MSH-4.
    pub from: (String, String),
    /// To whom: MSH-5 and MSH-6.
    pub to: (String, String),
    /// A private connection.
    pub tls: Option<MllpClientTls>,
}

/// What a receiver said of a message: table 0008.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    /// AA, CA.
    Accepted,
    /// AE, CE: it will not take this content.
    Refused,
    /// AR, CR: not now, or not from here.
    Rejected,
}

impl MllpReceiver {
    /// Sends a message and waits for the acknowledgement of its control id.
    pub(crate) async fn send(
        &self,
        control_id: &str,
        message: Vec<u8>,
    ) -> io::Result<Acknowledged> {
        let connected = tokio::time::timeout(CONNECTED, async {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => Ok::<_, io::Error>(Wire::Open(stream)),
                Some(tls) => Ok(Wire::Private(Box::new(tls.connect(stream).await?))),
            }
        });
        let wire = connected.await.map_err(|_| timed_out())??;
        let said = async {
            match wire {
                Wire::Open(stream) => converse(stream, control_id, message).await,
                Wire::Private(stream) => converse(*stream, control_id, message).await,
            }
        };
        let said = tokio::time::timeout(ACKNOWLEDGED, said).await;
        said.map_err(|_| timed_out())?
    }
}

enum Wire {
    Open(TcpStream),
    Private(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    control_id: &str,
    message: Vec<u8>,
) -> io::Result<Acknowledged> {
    let mut frames = Framed::new(stream, Frames::default());
    frames.send(message).await.map_err(io::Error::other)?;
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(io::Error::other)?;
        if let Some(said) = acknowledged(&frame, control_id) {
            return Ok(said);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// What an acknowledgement says of the message with this control id; others are passed over.
fn acknowledged(frame: &[u8], control_id: &str) -> Option<Acknowledged> {
    let answer = Message::parse(frame).ok()?;
    let mut segments = answer.segments();
    let msa = segments.find(|segment| segment.name() == "MSA")?;
    if msa.field(2).text() != control_id {
        return None;
    }
    match msa.field(1).text().as_str() {
        "AA" | "CA" => Some(Acknowledged::Accepted),
        "AE" | "CE" => Some(Acknowledged::Refused),
        _ => Some(Acknowledged::Rejected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_of_the_message_that_it_names() {
        let of = |code: &str| format!("MSH|^~\\&|A|B|C|D|2026||ACK|1|P|2.5.1\rMSA|{code}|C1\r");
        for (code, said) in [
            ("AA", Acknowledged::Accepted),
            ("CE", Acknowledged::Refused),
            ("AR", Acknowledged::Rejected),
        ] {
            assert_eq!(acknowledged(of(code).as_bytes(), "C1"), Some(said));
        }
        assert_eq!(acknowledged(of("AA").as_bytes(), "C2"), None);
    }
}
