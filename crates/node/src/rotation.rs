//! Rotating what the key store and the records hold together: the wrapping key of erase keys.
//!
//! The order makes it safe to stop anywhere: the new key is durable in the key store before anything is wrapped under it,
//! and an old one is destroyed only when nothing is wrapped under it any more.

use vault::keystore::{KeyStore, KeyStoreError, SecretName};

use crate::custody::{Custody, CustodyError};

/// Why a key is not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Erase keys are still on their way from the epoch before.
    #[error(
        "erase keys are still being wrapped under the key of epoch {0}: wait until that is done"
    )]
    StillRunning(u32),
    /// There is no further epoch.
    #[error("there is no epoch after {0}")]
    NoFurtherEpoch(u32),
    /// The key store fails.
    #[error("the key store: {0}")]
    Keys(#[from] KeyStoreError),
    /// The records fail.
    #[error(transparent)]
    Records(#[from] CustodyError),
}

/// Makes a wrapping key of a new epoch and begins to wrap under it; says which epoch.
pub async fn rotate_wrapping(keys: &dyn KeyStore, custody: &Custody) -> Result<u32, RotationError> {
    let progress = custody.wrapping();
    if !progress.is_complete {
        return Err(RotationError::StillRunning(progress.epoch));
    }
    keys.refresh()?;
    let newest = keys.names().iter().filter_map(SecretName::epoch).max();
    // One that was made and not used, because the node was stopped in between, is used now.
    let epoch = match newest.filter(|newest| *newest > progress.epoch) {
        Some(unused) => unused,
        None => {
            let next = progress.epoch.checked_add(1);
            let next = next.ok_or(RotationError::NoFurtherEpoch(progress.epoch))?;
            keys.generate_wrapping_key(next)?;
            next
        }
    };
    custody.rewrap(keys.wrapping_key(epoch)?).await?;
    Ok(epoch)
}

/// Destroys the wrapping keys under which nothing is wrapped any more; says of which epochs. The first stays: it is the root
/// of the records' other keys.
pub fn retire_wrapping(keys: &dyn KeyStore, custody: &Custody) -> Result<Vec<u32>, KeyStoreError> {
    let progress = custody.wrapping();
    if !progress.is_complete {
        return Ok(Vec::new());
    }
    let names = keys.names();
    let epochs = names.iter().filter_map(SecretName::epoch);
    let retired: Vec<u32> = epochs
        .filter(|epoch| (2..progress.epoch).contains(epoch))
        .collect();
    for epoch in &retired {
        keys.destroy(&SecretName::wrapping(*epoch))?;
    }
    Ok(retired)
}
