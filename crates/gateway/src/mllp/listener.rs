//! Connections of senders.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{FutureExt as _, SinkExt as _};
use interop::hl7v2::{Code, ErrorCode, Fault, Original, Place, is_batch};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use super::answer::{Step, Wishes, accepts, answer};
use super::frame::{FrameError, Frames};
use super::inbox::Arrival;
use super::{Desk, Mllp, MllpListener};

/// Connections of one listener at once.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a sender waits for its message to be filed; after that it is told to ask again.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long connections may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// A pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes messages in for the listener of this name, until `shutdown` is ready.
///
/// # Errors
///
/// If there is no such listener.
pub async fn serve(
    socket: TcpListener,
    mllp: Mllp,
    name: &str,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let listener = mllp.0.listeners.get(name).cloned();
    let listener = listener.ok_or_else(|| io::Error::other(format!("no listener `{name}`")))?;
    let listener = Arc::new(listener);
    let (ending, places) = (
        CancellationToken::new(),
        Arc::new(Semaphore::new(CONNECTIONS_MAX)),
    );
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, listener = name, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (desk, listener) = (Arc::clone(&mllp.0), Arc::clone(&listener));
        let ending = ending.clone();
        connections.spawn(async move {
            let _place = place;
            connect(&desk, &listener, (stream, address), ending).await;
        });
    }
    ending.cancel();
    let ended = async { while connections.join_next().await.is_some() {} };
    // Who takes longer is cut off: what was accepted is durable.
    let _in_time = tokio::time::timeout(GRACE, ended).await;
    Ok(())
}

async fn connect(
    desk: &Arc<Desk>,
    listener: &MllpListener,
    (stream, address): (TcpStream, SocketAddr),
    ending: CancellationToken,
) {
    // Acknowledgements are small and waited for.
    let _set = stream.set_nodelay(true);
    let address = address.ip().to_string();
    let ended = match &listener.tls {
        None => converse(desk, listener, address, stream, ending).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(desk, listener, address, stream, ending).await,
            Ok(Err(error)) => Err(FrameError::Connection(error)),
            Err(_) => Err(FrameError::Connection(io::ErrorKind::TimedOut.into())),
        },
    };
    if let Err(error) = ended {
        tracing::info!(%error, listener = listener.name, "a sender's connection ended");
    }
}

/// Takes one message after the other from a connection.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send>(
    desk: &Arc<Desk>,
    listener: &MllpListener,
    address: String,
    stream: S,
    ending: CancellationToken,
) -> Result<(), FrameError> {
    let mut frames = Framed::new(stream, Frames::default());
    let mut later = FuturesUnordered::new();
    loop {
        let frame = tokio::select! {
            () = ending.cancelled() => return Ok(()),
            Some(said) = later.next() => {
                if let Some(said) = said {
                    frames.send(said).await?;
                }
                continue;
            }
            frame = frames.next() => frame,
        };
        let bytes = match frame {
            None if later.is_empty() => return Ok(()),
            None => {
                while let Some(said) = later.next().await {
                    if let Some(said) = said {
                        frames.send(said).await?;
                    }
                }
                return Ok(());
            }
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => {
                if matches!(error, FrameError::TooLong) {
                    frames.send(too_long(desk)).await?;
                }
                return Err(error);
            }
        };
        if is_batch(&bytes) {
            frames
                .send(desk.receive_batch(listener, &address, &bytes).await)
                .await?;
            continue;
        }
        let arrival = Arrival {
            listener,
            address: address.clone(),
            bytes: &bytes,
        };
        let reply = desk.receive(arrival).await;
        if let Some(commit) = reply.commit {
            frames.send(commit).await?;
        }
        let wishes = reply.wishes;
        let desk = Arc::clone(desk);
        let said = async move {
            let until = Instant::now() + PATIENCE;
            let said = desk.said(reply.application, &bytes, until).await;
            let is_wanted = wishes.is_none_or(|of| of.want(Step::Application, accepts(&said)));
            is_wanted.then_some(said)
        };
        if wishes.is_some_and(Wishes::is_enhanced) {
            later.push(said.boxed());
        } else if let Some(said) = said.await {
            frames.send(said).await?;
        }
    }
}

/// It is kept, and will be filed; who sends it again hears how that went.
pub(super) fn still_waits(desk: &Desk, bytes: &[u8]) -> Vec<u8> {
    let fault = Fault::error(
        Place::segment("MSH", 1),
        ErrorCode::RecordLocked,
        "patience: the message is kept and waits to be filed; sent again, it is answered as it stands then",
    );
    let message = interop::hl7v2::Message::parse(bytes);
    let original = match &message {
        Ok(message) => Original::Read(message),
        Err(_) => Original::Broken(bytes),
    };
    answer(original, Code::AR, &[fault], desk.custody.now())
}

fn too_long(desk: &Desk) -> Vec<u8> {
    let place = Place::segment("MSH", 1);
    let fault = Fault::error(place, ErrorCode::ValueTooLong, "a shorter message");
    answer(
        Original::Broken(b""),
        Code::AR,
        &[fault],
        desk.custody.now(),
    )
}
