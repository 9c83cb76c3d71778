//! Users, keys, log-ins and groups as they were read last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::Connection;
use sentinel_units::Timestamp;

use super::{Client, secret};
use crate::model::{Account, AccountId, ApiKey, LogIn, SensorSet, User};
use crate::service::{Caller, LoggedIn};
use crate::store::StoreError;
use crate::store::access::{accounts, keys, sensor_groups};

/// The tables of one revision. Memory: some hundred bytes for each user, key and log-in.
#[derive(Debug, Default)]
pub struct Directory {
    /// None before the first reading.
    revision: Option<i64>,
    device_key: [u8; 32],
    users: BTreeMap<i64, User>,
    keys: HashMap<[u8; 32], ApiKey>,
    log_ins: HashMap<[u8; 32], LogIn>,
    groups: BTreeMap<String, SensorSet>,
    /// A one-time code was kept at the reading.
    has_code: bool,
}

/// An account that sent a key.
pub(super) struct KnownKey {
    account: Account,
    pub(super) key: i64,
}

impl KnownKey {
    pub(super) fn caller(self, client: Client) -> Caller {
        let Client { address, is_local } = client;
        Caller::Account(Arc::new(LoggedIn { account: self.account, address, is_local, log_in: None }))
    }
}

impl Directory {
    /// # Errors
    /// Errors of the database.
    pub(super) fn read(connection: &Connection, now: Timestamp) -> Result<Self, StoreError> {
        // The number first: a change in between is found by the next look.
        let (revision, device_key) = accounts::state(connection)?;
        let users = accounts::users(connection)?.into_iter().map(|user| (user.id, user)).collect();
        let keys = keys::all(connection)?.into_iter().map(|key| (key.hash, key)).collect();
        let log_ins = accounts::log_ins(connection, now)?.into_iter();
        Ok(Self {
            revision: Some(revision),
            device_key,
            users,
            keys,
            log_ins: log_ins.map(|log_in| (log_in.hash, log_in)).collect(),
            groups: sensor_groups::members(connection)?,
            has_code: accounts::has_code(connection, now)?,
        })
    }

    pub(super) const fn revision(&self) -> Option<i64> {
        self.revision
    }

    pub(super) const fn device_key(&self) -> &[u8; 32] {
        &self.device_key
    }

    /// Returns true if somebody has ever been given a way in: then nobody on this machine comes in without a log-in by default.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        !self.users.is_empty() || !self.keys.is_empty() || self.has_code
    }

    /// Returns true if a one-time code is kept that has not been used.
    #[must_use]
    pub const fn has_code(&self) -> bool {
        self.has_code
    }

    /// Returns true if there is a user who may manage everything.
    #[must_use]
    pub fn has_administrator(&self) -> bool {
        self.users.values().any(is_administrator)
    }

    /// Returns true if `user` is the only one who may manage everything.
    #[must_use]
    pub fn is_last_administrator(&self, user: i64) -> bool {
        self.users.get(&user).is_some_and(is_administrator)
            && self.users.values().filter(|user| is_administrator(user)).count() == 1
    }

    /// Every user, in the order of row numbers.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// Number of log-ins of a user that have not ended at `now`.
    #[must_use]
    pub fn log_ins(&self, user: i64, now: Timestamp) -> usize {
        self.log_ins.values().filter(|log_in| log_in.user == user && now < log_in.expires_at).count()
    }

    /// The user of this name; case does not matter.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.values().find(|user| user.name.eq_ignore_ascii_case(name))
    }

    /// The user of this row number.
    #[must_use]
    pub fn user_of(&self, id: i64) -> Option<&User> {
        self.users.get(&id)
    }

    /// Names of the groups that have sensors.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Groups of one sensor.
    #[must_use]
    pub fn groups_of(&self, sensor: i64) -> Vec<&str> {
        let of = self.groups.iter().filter(|(_, members)| members.ids.contains(&sensor));
        of.map(|(name, _)| name.as_str()).collect()
    }

    /// Sensors of these groups.
    pub(super) fn members(&self, groups: &BTreeSet<String>) -> SensorSet {
        let mut all = SensorSet::default();
        for members in groups.iter().filter_map(|group| self.groups.get(group)) {
            all.ids.extend(&members.ids);
            all.names.extend(members.names.iter().cloned());
        }
        all
    }

    /// The account of a key that has not expired. The table is searched by the hash: how long that takes tells nothing of a key.
    pub(super) fn account_of_key(&self, hash: &[u8; 32], now: Timestamp) -> Option<KnownKey> {
        let key = self.keys.get(hash).filter(|key| key.expires_at.is_none_or(|end| now < end))?;
        let (id, role) = (AccountId::Key(key.id), key.role);
        let account = Account { id, name: key.name.clone(), role, groups: key.groups.clone() };
        Some(KnownKey { account, key: key.id })
    }

    /// The user whose log-in this cookie is.
    pub(super) fn caller_of_cookie(&self, cookie: &str, client: Client, now: Timestamp) -> Option<Caller> {
        let hash = secret::sha256(cookie.as_bytes());
        let log_in = self.log_ins.get(&hash).filter(|log_in| now < log_in.expires_at)?;
        let account = account(self.users.get(&log_in.user)?);
        let Client { address, is_local } = client;
        Some(Caller::Account(Arc::new(LoggedIn { account, address, is_local, log_in: Some(hash) })))
    }

    /// Returns true if the log-in or the key is still there, with the same rights.
    pub(super) fn is_valid(&self, logged_in: &LoggedIn, now: Timestamp) -> bool {
        match (&logged_in.account.id, &logged_in.log_in) {
            (AccountId::User(id), Some(hash)) => {
                let is_open = self.log_ins.get(hash).is_some_and(|log_in| now < log_in.expires_at);
                is_open && self.users.get(id).map(account).as_ref() == Some(&logged_in.account)
            }
            (AccountId::Key(id), _) => {
                let key = self.keys.values().find(|key| key.id == *id);
                let known = key.and_then(|key| self.account_of_key(&key.hash, now));
                known.is_some_and(|known| known.account == logged_in.account)
            }
            (AccountId::User(_), None) => false,
        }
    }
}

fn is_administrator(user: &User) -> bool {
    user.role == crate::model::Role::Admin && user.groups.is_none()
}

fn account(user: &User) -> Account {
    Account {
        id: AccountId::User(user.id),
        name: user.name.clone(),
        role: user.role,
        groups: user.groups.clone(),
    }
}
