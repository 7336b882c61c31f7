//! `careledger demo`: four member organisations on this machine.

mod processes;

pub(crate) use processes::{Processes, free_ports};
