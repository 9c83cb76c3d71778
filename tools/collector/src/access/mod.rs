//! Accounts that may come in: users, API keys, log-ins, and the groups of sensors that they see.
//!
//! ```text
//! api --cookie, key--> Access::identify --> Caller --> service::authorize, Access::scope
//!        login ------> Access::log_in (throttle, Argon2id on few threads) --> cookie
//! ```
//!
//! A copy of the small tables is kept in memory, so that no request waits for the store; it is read again when one of them has
//! changed, at the latest a second later, by whatever process. A change and its line of the audit are one transaction.

mod directory;
mod log_in;
pub mod password;
pub mod secret;
pub mod throttle;
pub mod totp;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use sentinel_units::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::clock;
use crate::log::Log;
use crate::model::{AuditEntry, Role, Scope};
use crate::service::Caller;
use crate::store::access::{accounts, audit, keys};
use crate::store::{Files, StoreError};

pub use directory::Directory;
pub use log_in::{Credentials, LogInError, Opened, SESSION_TIME};
use throttle::Throttle;

/// Password hashes under way at the same time: two for strangers, and one for those who have a reserved way in. Each takes
/// [`password::MEMORY_KIB`].
pub const MAX_HASHES: usize = 3;
/// Log-ins that wait for one of these.
const MAX_WAITING: usize = 32;
/// Time between two looks for changes that another process has made.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Latest uses of keys are written this often.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
/// Refused attempts that are lines of the audit, an hour; more are counted in the log. Without a bound strangers would fill the disk.
const MAX_REFUSALS: u32 = 600;

/// Access of one collector. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Access(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Arc<Files>,
    /// Opened at the first use.
    connection: Mutex<Option<Connection>>,
    directory: watch::Sender<Arc<Directory>>,
    throttle: Mutex<Throttle>,
    hashing: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Latest uses of keys that are not written yet, by row number.
    used: Mutex<HashMap<i64, Timestamp>>,
    /// Start of the present hour, and refusals in it.
    refusals: Mutex<(Timestamp, u32)>,
    /// Role of clients on this machine that have not logged in; none if they have to.
    loopback: Mutex<Option<Role>>,
    log: Log,
}

impl Access {
    /// Access over the store of `files`. Nothing is read before [`Access::refresh`].
    #[must_use]
    pub fn new(files: Arc<Files>, log: Log) -> Self {
        Self(Arc::new(Shared {
            files,
            connection: Mutex::default(),
            directory: watch::Sender::default(),
            throttle: Mutex::default(),
            hashing: Arc::new(Semaphore::new(MAX_HASHES - 1)),
            reserved: Arc::new(Semaphore::new(1)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            used: Mutex::default(),
            refusals: Mutex::default(),
            loopback: Mutex::default(),
            log,
        }))
    }

    /// Sets the role of clients on this machine that have not logged in.
    pub fn set_loopback(&self, role: Option<Role>) {
        *lock(&self.0.loopback) = role;
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// The files of the collector.
    #[must_use]
    pub fn files(&self) -> Arc<Files> {
        Arc::clone(&self.0.files)
    }

    /// The tables as they were read last.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.0.directory.borrow())
    }

    /// Notice of the next change of the tables.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Directory>> {
        self.0.directory.subscribe()
    }

    /// The caller that sent this session cookie and this key from `address`.
    ///
    /// # Errors
    /// A key that is not known, or has expired: an error, because whoever sends a key means to use it. A cookie that is not known
    /// is as good as none.
    pub fn identify(
        &self,
        client: Client,
        cookie: Option<&str>,
        key: Option<&str>,
    ) -> Result<Caller, UnknownKey> {
        let (directory, now) = (self.directory(), clock::now());
        let Client { address, is_local } = client;
        if let Some(key) = key {
            let known = directory.account_of_key(&secret::sha256(key.as_bytes()), now).ok_or(UnknownKey)?;
            lock(&self.0.used).insert(known.key, now);
            return Ok(known.caller(client));
        }
        if let Some(caller) = cookie.and_then(|cookie| directory.caller_of_cookie(cookie, client, now)) {
            return Ok(caller);
        }
        let loopback = lock(&self.0.loopback).filter(|_| is_local);
        Ok(loopback.map_or(Caller::Nobody { address, is_local }, Caller::Loopback))
    }

    /// Sensors that the caller may see.
    #[must_use]
    pub fn scope(&self, caller: &Caller) -> Scope {
        match caller.groups() {
            None => Scope::All,
            Some(groups) => Scope::Sensors(Arc::new(self.directory().members(groups))),
        }
    }

    /// Returns true if the caller has still the rights that it had when its request came.
    #[must_use]
    pub fn is_valid(&self, caller: &Caller) -> bool {
        match caller {
            Caller::Operator | Caller::Nobody { .. } => true,
            Caller::Loopback(role) => *lock(&self.0.loopback) == Some(*role),
            Caller::Account(logged_in) => self.directory().is_valid(logged_in, clock::now()),
        }
    }

    /// Reads the tables again if they have changed.
    ///
    /// # Errors
    /// Errors of the database; what was read last stays in force.
    pub fn refresh(&self) -> Result<(), StoreError> {
        self.with_connection(|connection| self.read(connection))
    }

    fn read(&self, connection: &Connection) -> Result<(), StoreError> {
        let (revision, _) = accounts::state(connection)?;
        if self.0.directory.borrow().revision() != Some(revision) {
            let directory = Directory::read(connection, clock::now())?;
            self.0.directory.send_replace(Arc::new(directory));
        }
        Ok(())
    }

    /// Runs `change` and appends the line of the audit that it returns, in one transaction. Blocks: it synchronises the disk.
    ///
    /// # Errors
    /// Errors of `change` and of the database; nothing is changed then.
    pub fn change<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&Connection) -> Result<(T, AuditEntry), E>,
    ) -> Result<T, E> {
        let mut result = None;
        let done = self.with_connection(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            match change(&transaction) {
                Ok((value, entry)) => {
                    audit::append(&transaction, &entry)?;
                    transaction.commit()?;
                    result = Some(Ok(value));
                    self.read(connection)
                }
                Err(error) => {
                    result = Some(Err(error));
                    Ok(())
                }
            }
        });
        match (result, done) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Closed.into()), // the closure above sets it
        }
    }

    /// Reads with the connection of the changes. Blocks.
    ///
    /// # Errors
    /// Errors of `read` and of the database.
    pub fn look<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.with_connection(|connection| read(connection))
    }

    /// Appends a line about an attempt that was refused, unless the hour has had its lines. Blocks.
    pub fn record_refusal(&self, entry: &AuditEntry) {
        let mut refusals = lock(&self.0.refusals);
        if entry.at.since(refusals.0) >= Duration::from_secs(3_600) {
            *refusals = (entry.at, 0);
        }
        refusals.1 = refusals.1.saturating_add(1);
        let is_over = refusals.1 > MAX_REFUSALS;
        drop(refusals);
        let text = format_args!("{} from {}: {}", entry.what, entry.whence, entry.result);
        self.0.log.limited_warn("access_refused", text);
        if is_over {
            return;
        }
        if let Err(error) = self.look(|connection| append_alone(connection, entry)) {
            self.0.log.error(format_args!("a refused attempt is not in the audit: {error}"));
        }
    }

    /// Keeps the tables up to date and writes the latest uses of keys, until `stopping` turns true. Must be called inside a runtime.
    pub fn follow(&self, mut stopping: watch::Receiver<bool>) {
        let access = self.clone();
        tokio::spawn(async move {
            let mut flushed = tokio::time::Instant::now();
            loop {
                let is_stopping = tokio::select! {
                    () = tokio::time::sleep(REFRESH_INTERVAL) => false,
                    _ = stopping.wait_for(|stop| *stop) => true,
                };
                let flush = is_stopping || flushed.elapsed() >= FLUSH_INTERVAL;
                if flush {
                    flushed = tokio::time::Instant::now();
                }
                let access = access.clone();
                let work = tokio::task::spawn_blocking(move || access.look_after(flush));
                let _ = work.await; // a panic has been printed by its own hook
                if is_stopping {
                    return;
                }
            }
        });
    }

    fn look_after(&self, flush: bool) {
        let result = self.refresh().and_then(|()| if flush { self.flush() } else { Ok(()) });
        if let Err(error) = result {
            self.0.log.limited_warn("access", format_args!("users and keys cannot be read: {error}"));
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        let used = std::mem::take(&mut *lock(&self.0.used));
        self.look(|connection| used.iter().try_for_each(|(key, at)| keys::used(connection, *key, *at)))
    }

    /// A connection that failed is closed: a replaced file is opened anew by the next request.
    fn with_connection<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = lock(&self.0.connection);
        let mut opened = match connection.take() {
            Some(opened) => opened,
            None => self.0.files.open_writer()?,
        };
        let result = work(&mut opened)?;
        *connection = Some(opened);
        Ok(result)
    }

    fn throttle<T>(&self, work: impl FnOnce(&mut Throttle) -> T) -> T {
        work(&mut lock(&self.0.throttle))
    }
}

/// Appends a line in a transaction of its own.
fn append_alone(connection: &Connection, entry: &AuditEntry) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let result = audit::append(connection, entry);
    connection.execute_batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    result
}

/// Client of a request.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// True if it is on this machine, and no proxy says that it speaks for another one.
    pub is_local: bool,
}

/// No key is known that was sent, or it has expired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownKey;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
