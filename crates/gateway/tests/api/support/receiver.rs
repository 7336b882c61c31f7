//! A receiver of HL7 v2 that keeps its connections and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::patience::until;

/// How a message is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// With this code.
    Code(&'static str),
    /// With AA, and then the receiver hangs up.
    LastWord,
    /// The receiver hangs up.
    HangUp,
    /// Not at all.
    Silence,
    /// With AE for another control id, then with AA for its own.
    AfterAnother,
    /// With AA for another control id alone.
    Another,
}

/// A message as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The number of the connection, from 1.
    pub(crate) connection: usize,
    pub(crate) segments: Vec<String>,
}

/// Answers what it was told to, then AA.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    got: Arc<Mutex<Vec<Received>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Receiver {
    /// One that answers the first messages like this.
    pub(crate) fn replying(replies: &[Reply]) -> Self {
        let receiver = Self::default();
        receiver.replies.lock().unwrap().extend(replies);
        receiver
    }

    pub(crate) async fn listen(&self) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let receiver = self.clone();
        tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = socket.accept().await.unwrap();
                tokio::spawn(receiver.clone().attend(connection, stream));
            }
        });
        address
    }

    async fn attend(self, connection: usize, mut stream: TcpStream) {
        while let Some(segments) = read(&mut stream).await {
            let control_id = segments[0].split('|').nth(9).unwrap().to_owned();
            self.got.lock().unwrap().push(Received {
                connection,
                segments,
            });
            let reply = self.replies.lock().unwrap().pop_front();
            let answers: Vec<(&str, &str)> = match reply.unwrap_or(Reply::Code("AA")) {
                Reply::Code(code) => vec![(code, &control_id)],
                Reply::LastWord => vec![("AA", &control_id)],
                Reply::HangUp => return,
                Reply::Silence => vec![],
                Reply::AfterAnother => vec![("AE", "other"), ("AA", &control_id)],
                Reply::Another => vec![("AA", "other")],
            };
            for (code, of) in answers {
                let answer = format!(
                    "\x0bMSH|^~\\&|HIS|SOUTH|CARE|NORTH|2026||ACK|A1|P|2.5.1\rMSA|{code}|{of}\r\x1c\r"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            if let Some(Reply::LastWord) = reply {
                return;
            }
        }
    }

    /// The messages, when there are so many.
    pub(crate) async fn got(&self, count: usize) -> Vec<Received> {
        until("so many messages come", async || {
            let got = self.got.lock().unwrap().clone();
            if got.len() >= count {
                Ok(got)
            } else {
                Err((got.len(), count))
            }
        })
        .await
    }
}

/// The segments of the next message; nothing when the connection ends.
async fn read(stream: &mut TcpStream) -> Option<Vec<String>> {
    let mut read = Vec::new();
    while !read.ends_with(b"\x1c\x0d") {
        read.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(read).unwrap();
    let text = text.trim_start_matches('\x0b').trim_end_matches("\x1c\x0d");
    Some(text.split('\r').map(str::to_owned).collect())
}

impl Received {
    /// MSH-9.
    pub(crate) fn kind(&self) -> &str {
        self.segments[0].split('|').nth(8).unwrap()
    }

    /// MSH-10.
    pub(crate) fn control_id(&self) -> &str {
        self.segments[0].split('|').nth(9).unwrap()
    }

    /// The first segment with this name.
    pub(crate) fn segment(&self, name: &str) -> &str {
        let mut segments = self.segments.iter();
        let found = segments.find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("no {name}: {:?}", self.segments))
    }
}
