//! Ports for nodes of tests.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that systems give to outgoing connections (RFC 6335 §6: from 49152 on; Linux: from 32768 on), so
/// that none of these takes the port before the node does, and above those of the program's tests.
const FIRST: u32 = 15_000;
const COUNT: u32 = 17_000;

/// An address of this machine that nobody listens at, another one at each call. Processes begin at different places.
pub(crate) fn free_address() -> SocketAddr {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(64);
    let mut addresses = std::iter::repeat_with(|| {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + begin.wrapping_add(call) % COUNT;
        SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()))
    });
    let tried = addresses.by_ref().take(COUNT as usize);
    let mut free = tried.filter(|address| TcpListener::bind(address).is_ok());
    free.next().unwrap()
}
