//! Writing: what a consent or a voted policy keeps from being collected or corrected.
//!
//! Who writes a member's own records, the member decides: that nothing permits it is no denial here.

use super::{Decision, Document, Evaluator, Request, voted};

/// What the ids of the policies of consents begin with.
const OF_CONSENTS: &str = "consent/";

impl Evaluator {
    /// Whether anything can keep a document from being written: a consent in force that names `collect` or `correct`, or
    /// what members have voted.
    pub fn restrains_writing(&self) -> bool {
        self.policies.is_some() && (self.names_writing || self.voted.is_some())
    }

    /// The denial of a document that is to be written, if a consent or a voted policy denies it.
    pub fn refusal(&self, request: &Request, document: &Document) -> Option<Decision> {
        let decision = self.decide(request, document);
        let is_named = |id: &String| id.starts_with(OF_CONSENTS) || voted::is_voted(id);
        let is_refused = !decision.permitted && decision.determining.iter().any(is_named);
        is_refused.then_some(decision)
    }
}
