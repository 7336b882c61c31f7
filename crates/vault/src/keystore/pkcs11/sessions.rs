//! Sessions with one token: opened when they are needed, kept for the next use, opened anew after the token was lost.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

use super::{Pin, Pkcs11Config};
use crate::keystore::KeyStoreError;

/// Idle sessions that are kept; a token may have few.
const IDLE_MAX: usize = 8;

/// A library is loaded and initialised once in a process, whoever uses it.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// The sessions of one store.
pub(super) struct Sessions {
    module: PathBuf,
    token: String,
    pin: Pin,
    idle: Mutex<Vec<Session>>,
    /// Grows whenever the token was lost: handles of objects from before are void.
    generation: AtomicU64,
}

impl Sessions {
    /// Opens a first session, so that a missing token or a wrong PIN shows at once.
    pub(super) fn open(config: &Pkcs11Config) -> Result<Self, KeyStoreError> {
        let sessions = Self {
            module: config.module.clone(),
            token: config.token.clone(),
            pin: config.pin.clone(),
            idle: Mutex::new(Vec::new()),
            generation: AtomicU64::new(0),
        };
        let first = sessions.log_in()?;
        sessions.idle().push(first);
        Ok(sessions)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Runs `work` in a session, and once more in a new one if the token was lost meanwhile.
    pub(super) fn run<T>(
        &self,
        work: impl Fn(&Session) -> Result<T, Error>,
    ) -> Result<T, KeyStoreError> {
        let idle = self.idle().pop();
        let session = match idle {
            Some(session) => session,
            None => self.log_in()?,
        };
        match work(&session) {
            Err(error) if is_lost(&error) => {
                drop(session);
                self.idle().clear();
                self.generation.fetch_add(1, Ordering::AcqRel);
                let session = self.log_in()?;
                let done = work(&session);
                self.keep(session);
                done
            }
            done => {
                self.keep(session);
                done
            }
        }
        .map_err(|error| KeyStoreError::Token(error.to_string()))
    }

    fn log_in(&self) -> Result<Session, KeyStoreError> {
        let pkcs11 = module(&self.module)?;
        let slot = slot_of(&pkcs11, &self.token)?;
        let opened = pkcs11.open_rw_session(slot);
        let session = opened.map_err(|error| KeyStoreError::Token(error.to_string()))?;
        match session.login(UserType::User, Some(&self.pin.auth())) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => Err(refused(&error)),
        }
    }

    fn keep(&self, session: Session) {
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(session);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions(token {})", self.token)
    }
}

/// The library at a path, loaded and initialised.
pub(super) fn module(path: &Path) -> Result<Pkcs11, KeyStoreError> {
    let failed = |error: &Error| KeyStoreError::Module {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let pkcs11 = match modules.get(path) {
        Some(known) => known.clone(),
        None => Pkcs11::new(path).map_err(|error| failed(&error))?,
    };
    // Again each time: whoever else uses the library in this process may have finalised it.
    let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match pkcs11.initialize(threads) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed(&error)),
    }
    modules.insert(path.to_owned(), pkcs11.clone());
    Ok(pkcs11)
}

/// The slot with the token of that label.
pub(super) fn slot_of(pkcs11: &Pkcs11, label: &str) -> Result<Slot, KeyStoreError> {
    let failed = |error: Error| KeyStoreError::Token(error.to_string());
    let mut found = Vec::new();
    for slot in pkcs11.get_slots_with_token().map_err(failed)? {
        let info = pkcs11.get_token_info(slot).map_err(failed)?;
        if info.token_initialized() && info.label() == label {
            found.push(slot);
        }
    }
    match found.as_slice() {
        [] => Err(KeyStoreError::NoToken(label.to_owned())),
        [slot] => Ok(*slot),
        _ => Err(KeyStoreError::SeveralTokens(label.to_owned())),
    }
}

pub(super) fn refused(error: &Error) -> KeyStoreError {
    match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _) => {
            KeyStoreError::WrongPin
        }
        Error::Pkcs11(RvError::PinLocked, _) => KeyStoreError::PinLocked,
        _ => KeyStoreError::Token(error.to_string()),
    }
}

/// Whether a new session may do what this one could not.
fn is_lost(error: &Error) -> bool {
    let Error::Pkcs11(error, _) = error else {
        return false;
    };
    matches!(
        error,
        RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::DeviceRemoved
            | RvError::DeviceError
            | RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::TokenNotPresent
            | RvError::SlotIdInvalid
            | RvError::UserNotLoggedIn
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::CryptokiNotInitialized
    )
}
