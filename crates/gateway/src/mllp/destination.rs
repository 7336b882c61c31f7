//! The connection to a receiver: kept from message to message, opened anew when it breaks. Each message has its answer
//! before the next one goes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};
use tokio_util::codec::Framed;

use super::frame::Frames;
use super::outage::Outage;
use super::receiver::{Acknowledged, MllpReceiver, acknowledged};

const CONNECTED: Duration = Duration::from_secs(10);
/// What lies between may have forgotten a connection that was silent for longer, without a word to either end.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// A receiver, and how it is reached.
pub(crate) struct Destination {
    receiver: MllpReceiver,
    /// The first and the longest pause after it was not reached.
    pauses: (Duration, Duration),
    line: Arc<Mutex<Line>>,
}

/// What is known of the receiver, by whoever's turn it is.
#[derive(Default)]
struct Line {
    open: Option<Connection>,
    outage: Outage,
}

/// The turn of one who sends: nobody else does until it is dropped.
pub(crate) struct Turn {
    destination: Arc<Destination>,
    line: OwnedMutexGuard<Line>,
}

struct Connection {
    frames: Framed<Box<dyn Duplex>, Frames>,
    used_at: Instant,
}

/// TCP, or TLS over it.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

impl Destination {
    pub(crate) fn new(receiver: MllpReceiver, pauses: (Duration, Duration)) -> Self {
        Self {
            receiver,
            pauses,
            line: Arc::default(),
        }
    }

    pub(crate) fn receiver(&self) -> &MllpReceiver {
        &self.receiver
    }

    /// The turn to send; none while it is another's, or the receiver is left alone because it was not reached.
    pub(crate) fn turn(self: &Arc<Self>, now: Instant) -> Option<Turn> {
        let line = Arc::clone(&self.line).try_lock_owned().ok()?;
        (!line.outage.is_on(now)).then(|| Turn {
            destination: Arc::clone(self),
            line,
        })
    }

    /// The turn to send, as soon as nobody else has it, and even if the receiver is left alone.
    pub(crate) async fn next_turn(self: &Arc<Self>) -> Turn {
        Turn {
            line: Arc::clone(&self.line).lock_owned().await,
            destination: Arc::clone(self),
        }
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

impl Turn {
    pub(crate) fn receiver(&self) -> &MllpReceiver {
        &self.destination.receiver
    }

    /// Sends a message and waits for the acknowledgement of its control id.
    ///
    /// A receiver that hung up since the last message, or upon this one, gets it once more on a new connection.
    ///
    /// # Errors
    ///
    /// `TimedOut` if there is no connection or no answer in time, else why the connection broke. The receiver is then left
    /// alone for a while.
    pub(crate) async fn send(
        &mut self,
        control_id: &str,
        message: &[u8],
    ) -> io::Result<Acknowledged> {
        let said = self.converse(control_id, message).await;
        let outage = &mut self.line.outage;
        match said {
            Ok(_) => *outage = Outage::default(),
            Err(_) => outage.failed(control_id, Instant::now(), self.destination.pauses),
        }
        said
    }

    async fn converse(&mut self, control_id: &str, message: &[u8]) -> io::Result<Acknowledged> {
        let destination = &self.destination;
        let open = &mut self.line.open;
        // What fails, is late or is given up half-way is not put back.
        if let Some(mut kept) = open.take()
            && kept.is_usable()
        {
            let said = destination.converse(&mut kept, control_id, message).await;
            match said {
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {}
                said => {
                    *open = said.is_ok().then_some(kept);
                    return said;
                }
            }
        }
        let mut fresh = destination.connect().await?;
        let said = destination
            .converse(&mut fresh, control_id, message)
            .await?;
        *open = Some(fresh);
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
