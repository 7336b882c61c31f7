//! The connection to a receiver: kept from message to message, opened anew when it breaks. Each message has its answer
//! before the next one goes.

use std::io;
use std::time::Duration;

use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::codec::Framed;

use super::frame::Frames;
use super::receiver::{Acknowledged, MllpReceiver, acknowledged};

const CONNECTED: Duration = Duration::from_secs(10);
/// What lies between may have forgotten a connection that was silent for longer, without a word to either end.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// A receiver, and the connection to it.
pub(crate) struct Destination {
    receiver: MllpReceiver,
    open: Mutex<Option<Connection>>,
}

struct Connection {
    frames: Framed<Box<dyn Duplex>, Frames>,
    used_at: Instant,
}

/// TCP, or TLS over it.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

impl Destination {
    pub(crate) fn new(receiver: MllpReceiver) -> Self {
        let open = Mutex::new(None);
        Self { receiver, open }
    }

    pub(crate) fn receiver(&self) -> &MllpReceiver {
        &self.receiver
    }

    /// Sends a message and waits for the acknowledgement of its control id. Others who send wait until then.
    ///
    /// A receiver that hung up since the last message, or upon this one, gets it once more on a new connection.
    ///
    /// # Errors
    ///
    /// `TimedOut` if there is no connection or no answer in time, else why the connection broke.
    pub(crate) async fn send(&self, control_id: &str, message: &[u8]) -> io::Result<Acknowledged> {
        let mut open = self.open.lock().await;
        // What fails, is late or is given up half-way is not put back.
        if let Some(mut kept) = open.take()
            && kept.is_usable()
        {
            match self.converse(&mut kept, control_id, message).await {
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {}
                said => {
                    *open = said.is_ok().then_some(kept);
                    return said;
                }
            }
        }
        let mut fresh = self.connect().await?;
        let said = self.converse(&mut fresh, control_id, message).await?;
        *open = Some(fresh);
        Ok(said)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let connected = timeout(CONNECTED, async {
            let stream = TcpStream::connect(&self.receiver.address).await?;
            stream.set_nodelay(true)?;
            let wire: Box<dyn Duplex> = match &self.receiver.tls {
                None => Box::new(stream),
                Some(tls) => Box::new(tls.connect(stream).await?),
            };
            Ok::<_, io::Error>(wire)
        });
        let wire = connected.await.map_err(|_| timed_out())??;
        Ok(Connection {
            frames: Framed::new(wire, Frames::default()),
            used_at: Instant::now(),
        })
    }

    async fn converse(
        &self,
        connection: &mut Connection,
        control_id: &str,
        message: &[u8],
    ) -> io::Result<Acknowledged> {
        let frames = &mut connection.frames;
        let said = timeout(self.receiver.answer_within, async {
            let sent = frames.send(message.to_vec()).await;
            sent.map_err(io::Error::other)?;
            while let Some(frame) = frames.next().await {
                let frame = frame.map_err(io::Error::other)?;
                if let Some(said) = acknowledged(&frame, control_id) {
                    return Ok(said);
                }
            }
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        });
        let said = said.await.map_err(|_| timed_out())??;
        connection.used_at = Instant::now();
        Ok(said)
    }
}

impl Connection {
    /// Whether a message may go over it: nothing says that the receiver has hung up.
    fn is_usable(&mut self) -> bool {
        while let Some(came) = self.frames.next().now_or_never() {
            // A frame that nobody waits for is the answer to nothing.
            if !matches!(came, Some(Ok(_))) {
                return false;
            }
        }
        self.used_at.elapsed() < IDLE_MAX
    }
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}
