//! Log-in with a password, and the first administrator by a one-time code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::Connection;
use sentinel_units::Timestamp;
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::password::{self, WeakPassword};
use super::secret::{self, Secret};
use super::throttle::{Attempt, DeviceId};
use super::{Access, Client, totp};
use crate::clock;
use crate::http::network;
use crate::model::{AuditEntry, LogIn, MAX_NAME_LEN, Role, User, is_valid_name};
use crate::service::{Caller, Operation};
use crate::store::StoreError;
use crate::store::access::accounts::{self, NewUser};
use crate::store::key::{hex, random, unhex};

/// Time after which a log-in ends, used or not.
pub const SESSION_TIME: Duration = Duration::from_secs(12 * 3_600);

/// Name, password and code that a user types.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Name of the user.
    pub name: String,
    /// Password.
    pub password: String,
    /// One-time code.
    pub code: Option<String>,
}

/// Prints no password.
impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials of {:?}", self.name)
    }
}

/// A log-in that has begun.
#[derive(Debug)]
pub struct Opened {
    /// Value of the session cookie.
    pub session: Secret,
    /// Value of the cookie by which the browser shows later that it has logged in.
    pub device: String,
    /// Name of the user.
    pub user: String,
}

/// Reason for which nobody was logged in.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogInError {
    /// Name, password or code are wrong; which, is not said.
    Wrong,
    /// The password is right, and a one-time code is needed.
    CodeNeeded,
    /// Too many failures: closed for this time.
    Closed(Duration),
    /// Too many log-ins at the same time.
    Busy,
    /// The name cannot be that of a user.
    Name,
    /// The password cannot be set.
    Weak(WeakPassword),
    /// The log-in cannot be stored.
    Store(StoreError),
}

impl fmt::Display for LogInError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong => out.write_str("name, password or code is wrong"),
            Self::CodeNeeded => out.write_str("the one-time code of your application is needed"),
            Self::Closed(span) => {
                let minutes = span.as_secs().div_ceil(60).max(1);
                write!(out, "too many attempts failed; try again in {minutes} min")
            }
            Self::Busy => out.write_str("too many people log in at the same time; try again"),
            Self::Name => {
                write!(out, "a name has 1 to {MAX_NAME_LEN} letters, digits and . _ - and is not a number")
            }
            Self::Weak(error) => error.fmt(out),
            Self::Store(error) => write!(out, "the log-in cannot be stored: {error}"),
        }
    }
}

impl std::error::Error for LogInError {}

impl From<StoreError> for LogInError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Access {
    /// Logs a user in.
    ///
    /// # Errors
    /// Each variant of [`LogInError`]; but for the last two it is a line of the audit.
    pub async fn log_in(
        &self,
        client: Client,
        device: Option<&str>,
        credentials: Credentials,
    ) -> Result<Opened, LogInError> {
        let (directory, now) = (self.directory(), clock::now());
        let user = directory.user(&credentials.name).cloned();
        let device = user.as_ref().and_then(|user| known_device(directory.device_key(), user.id, device?));
        let attempt = Attempt {
            address: client.address,
            account: secret::sha256(credentials.name.to_ascii_lowercase().as_bytes()),
            exists: user.is_some(),
            is_local: client.is_local,
            device,
        };
        let access = self.clone();
        let checked = self
            .guarded(&attempt, now, move || access.check(user, client, &credentials, now), is_wrong)
            .await;
        checked.inspect(|_| self.throttle(|throttle| throttle.succeed(&attempt)))
    }

    /// Sets the password of an administrator, whom it makes if need be, and logs in.
    ///
    /// # Errors
    /// Each variant of [`LogInError`] but [`LogInError::CodeNeeded`].
    pub async fn set_administrator(
        &self,
        client: Client,
        code: &str,
        credentials: Credentials,
    ) -> Result<Opened, LogInError> {
        if !is_valid_name(&credentials.name) {
            return Err(LogInError::Name);
        }
        password::check_new(&credentials.password, &credentials.name).map_err(LogInError::Weak)?;
        // Counted apart from log-ins, for the address: a code is not guessed, and failed log-ins keep nobody from using one.
        let network = secret::sha256(format!("code {}", network(client.address)).as_bytes());
        let (address, is_local) = (client.address, client.is_local);
        let device = network.first_chunk().copied();
        let attempt = Attempt { address, account: network, exists: false, is_local, device };
        let (access, code, now) = (self.clone(), secret::code_hash(code), clock::now());
        let work = move || access.replace_administrator(client, &code, &credentials, now);
        let set = self.guarded(&attempt, now, work, is_wrong).await;
        set.inspect(|_| self.throttle(|throttle| throttle.succeed(&attempt)))
    }

    /// Runs `work`, which proves the password of a user who has logged in: whoever finds an open browser guesses no faster than
    /// at the log-in.
    ///
    /// # Errors
    /// Those of `work`, of which `is_failure` says if the password was wrong, [`LogInError::Closed`] and [`LogInError::Busy`].
    pub async fn prove<T: Send + 'static, E: From<LogInError> + Send + 'static>(
        &self,
        client: Client,
        user: &str,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
        is_failure: fn(&E) -> bool,
    ) -> Result<T, E> {
        let now = clock::now();
        let account = secret::sha256(format!("prove {}", user.to_ascii_lowercase()).as_bytes());
        let (address, is_local) = (client.address, client.is_local);
        let attempt = Attempt { address, account, exists: true, is_local, device: None };
        let proved = self.guarded(&attempt, now, work, is_failure).await;
        proved.inspect(|_| self.throttle(|throttle| throttle.succeed(&attempt)))
    }

    /// Runs `work`, which hashes a password, unless the attempt comes too soon after failures. Failures are counted before, so
    /// that attempts at the same time are counted as well.
    async fn guarded<T: Send + 'static, E: From<LogInError> + Send + 'static>(
        &self,
        attempt: &Attempt,
        now: Timestamp,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
        is_failure: fn(&E) -> bool,
    ) -> Result<T, E> {
        let begun = self.throttle(|throttle| {
            throttle.check(attempt, now)?;
            throttle.fail(attempt, now);
            Ok(())
        });
        begun.map_err(LogInError::Closed)?;
        let result = self.hashed(attempt, work).await;
        if result.as_ref().is_err_and(|error| !is_failure(error)) {
            self.throttle(|throttle| throttle.take_back(attempt, now));
        }
        result
    }

    /// Runs `work` on a thread that may block, few at a time. Those with a way in of their own do not wait for strangers.
    async fn hashed<T: Send + 'static, E: From<LogInError> + Send + 'static>(
        &self,
        attempt: &Attempt,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let has_own_way = attempt.is_local || attempt.device.is_some();
        let permits = if has_own_way { &self.0.reserved } else { &self.0.hashing };
        let waiting = Arc::clone(&self.0.waiting).try_acquire_owned();
        if waiting.is_err() && !has_own_way {
            return Err(LogInError::Busy.into());
        }
        let permit = Semaphore::acquire_owned(Arc::clone(permits)).await.map_err(|_| LogInError::Busy)?;
        drop(waiting);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit; // also if the client has gone
            work()
        });
        work.await.map_err(|error| LogInError::Store(error.into()))?
    }

    fn check(
        &self,
        user: Option<User>,
        client: Client,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Opened, LogInError> {
        let is_right = password::verify(&credentials.password, user.as_ref().map(|user| &*user.password));
        let refused = || Err(self.refused(Operation::LogIn, client, &credentials.name));
        let Some(user) = user.filter(|_| is_right) else { return refused() };
        let step = match (&user.totp, &credentials.code) {
            (None, _) => None,
            (Some(_), None) => return Err(LogInError::CodeNeeded),
            (Some(secret), Some(code)) => match totp::verify(secret, code, now, user.totp_step) {
                Some(step) => Some(step),
                None => return refused(),
            },
        };
        let opened = self.change(|connection| {
            // In the transaction: of two log-ins with one code the second is refused.
            if let Some(step) = step
                && !accounts::use_totp(connection, user.id, step)?
            {
                return Err(LogInError::Wrong);
            }
            let opened = open(connection, &user.name, user.id, client, now)?;
            Ok((opened, entry(Operation::LogIn, client, &user.name, "ok")))
        });
        if matches!(opened, Err(LogInError::Wrong)) { refused() } else { opened }
    }

    fn replace_administrator(
        &self,
        client: Client,
        code: &[u8; 32],
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Opened, LogInError> {
        // Before the password is hashed: a wrong code costs a look into the table.
        if !self.look(|connection| accounts::knows_code(connection, code, now))? {
            return Err(self.refused(Operation::SetAdministrator, client, &credentials.name));
        }
        let hash = password::hash(&credentials.password)?;
        let done = self.change(|connection| {
            if !accounts::use_code(connection, code, now)? {
                return Err(LogInError::Wrong);
            }
            let name = &credentials.name;
            let known =
                accounts::users(connection)?.into_iter().find(|user| user.name.eq_ignore_ascii_case(name));
            let user = match known {
                Some(user) => {
                    accounts::set_rights(connection, user.id, Role::Admin, &None)?;
                    accounts::set_password(connection, user.id, &hash)?;
                    accounts::set_totp(connection, user.id, None, 0)?;
                    user.id
                }
                None => {
                    let new = NewUser { name, role: Role::Admin, groups: &None, password: &hash };
                    accounts::add(connection, &new, now)?
                }
            };
            let opened = open(connection, name, user, client, now)?;
            Ok((opened, entry(Operation::SetAdministrator, client, name, "ok")))
        });
        match done {
            Err(LogInError::Wrong) => {
                Err(self.refused(Operation::SetAdministrator, client, &credentials.name))
            }
            done => done,
        }
    }

    fn refused(&self, operation: Operation, client: Client, name: &str) -> LogInError {
        self.record_refusal(&entry(operation, client, name, "refused"));
        LogInError::Wrong
    }
}

const fn is_wrong(error: &LogInError) -> bool {
    matches!(error, LogInError::Wrong)
}

/// The name is what was typed, which may be a password by mistake: only a name that a user could have is kept.
fn entry(operation: Operation, client: Client, name: &str, result: &str) -> AuditEntry {
    let Client { address, is_local } = client;
    let shown = if is_valid_name(name) { name } else { "a name that no user can have" };
    Caller::Nobody { address, is_local }.entry(operation, shown.into(), result.into())
}

fn open(
    connection: &Connection,
    name: &str,
    user: i64,
    client: Client,
    now: Timestamp,
) -> Result<Opened, StoreError> {
    let session = Secret::generate()?;
    let log_in = LogIn {
        hash: session.hash(),
        user,
        created_at: now,
        expires_at: now.after(SESSION_TIME),
        address: client.address.to_canonical().to_string(),
    };
    accounts::begin(connection, &log_in)?;
    let (_, key) = accounts::state(connection)?;
    Ok(Opened { session, device: new_device(&key, user)?, user: name.into() })
}

/// `user.number.tag`: says that the browser has logged in to this account before.
fn new_device(key: &[u8; 32], user: i64) -> Result<String, StoreError> {
    let mut device: DeviceId = [0; 16];
    random(&mut device)?;
    Ok(format!("{user}.{}.{}", hex(&device), hex(&tag(key, user, &device))))
}

fn known_device(key: &[u8; 32], user: i64, cookie: &str) -> Option<DeviceId> {
    let mut parts = cookie.splitn(3, '.');
    let of: i64 = parts.next()?.parse().ok()?;
    let device: DeviceId = unhex(parts.next()?)?.try_into().ok()?;
    let given = unhex(parts.next()?)?;
    (of == user && secret::is_equal(&given, &tag(key, user, &device))).then_some(device)
}

fn tag(key: &[u8; 32], user: i64, device: &DeviceId) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] }; // takes keys of any length
    mac.update(b"sentinel device");
    mac.update(&user.to_be_bytes());
    mac.update(device);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_collector_makes_device_cookies_and_each_is_for_one_user() {
        let key = [7; 32];
        let cookie = new_device(&key, 3).unwrap();
        assert!(known_device(&key, 3, &cookie).is_some());
        assert!(known_device(&key, 4, &cookie).is_none(), "another user");
        assert!(known_device(&[8; 32], 3, &cookie).is_none(), "another collector");
        let forged = cookie.replacen("3.", "4.", 1);
        assert!(known_device(&key, 4, &forged).is_none());
        for broken in ["", "3", "3.00", "3..", "x.00.00", &cookie[..cookie.len() - 1]] {
            assert!(known_device(&key, 3, broken).is_none(), "{broken}");
        }
    }
}
