//! Break-glass: what somebody declares who needs a record at once.

use minicbor::{Decode, Encode};

/// A declared emergency. What was written to justify it stands elsewhere: free text never enters decisions.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Emergency {
    /// Why, as `system|code` or a code.
    #[n(0)]
    pub reason: String,
    /// The first millisecond since 1970 for which it was declared.
    #[n(1)]
    pub from: i64,
    /// The first millisecond for which it was not declared any more.
    #[n(2)]
    pub until: i64,
}

impl Emergency {
    /// Whether it was declared for this moment.
    pub fn covers(&self, now: i64) -> bool {
        (self.from..self.until).contains(&now)
    }
}
