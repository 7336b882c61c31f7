//! What keeps a process's memory to itself: its keys are in it.

/// No core dumps, and no debugger of the same user: what a crash writes down, or `ptrace` reads, has no key in it.
#[cfg(target_os = "linux")]
pub(crate) fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps are not off: a crash may write keys to a file");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user may read this one's memory");
    }
}

/// Other systems have other ways, which are the operator's.
#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_memory_private() {
    tracing::warn!("core dumps are left as this system has them: a crash may write keys to a file");
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_process_that_keeps_its_memory_leaves_no_core_and_is_not_dumpable() {
        keep_memory_private();
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
