//! Users, API keys, their roles, and the sensors that they may see.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use sentinel_units::Timestamp;

use super::SensorId;

/// Rights of a caller; each role has those of the ones before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Reads alerts, incidents, sensors and figures; no packets.
    Viewer,
    /// Reads packets, changes states and notes.
    Analyst,
    /// Sends commands, changes rules and outputs.
    Operator,
    /// Changes users, keys, sensors and the collector itself.
    Admin,
}

impl Role {
    /// Every role, the one with the fewest rights first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Analyst, Self::Operator, Self::Admin];

    /// Name in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// Rights of clients on this machine that have not logged in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Loopback {
    /// As an analyst before `init` has been run or anybody been given a way in, and nothing afterwards.
    #[default]
    Unset,
    /// Nothing: they have to log in.
    LogIn,
    /// As this role.
    Role(Role),
}

impl Loopback {
    /// The role, given whether anybody has been given a way in.
    #[must_use]
    pub fn role(self, is_set_up: bool) -> Option<Role> {
        match self {
            Self::Unset => (!is_set_up).then_some(Role::Analyst),
            Self::LogIn => None,
            Self::Role(role) => Some(role),
        }
    }
}

/// Names of the groups of sensors to which an account is limited; none for every sensor.
pub type Groups = Option<BTreeSet<String>>;

/// A user or an API key, as it was stored last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccountId {
    /// Row number of a user.
    User(i64),
    /// Row number of an API key.
    Key(i64),
}

/// Someone who has logged in, or has sent a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// Its row.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Its rights.
    pub role: Role,
    /// Its sensors.
    pub groups: Groups,
}

/// A user as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Row number.
    pub id: i64,
    /// Name at the log-in.
    pub name: String,
    /// Rights.
    pub role: Role,
    /// Sensors.
    pub groups: Groups,
    /// Hash of the password with its parameters and salt (PHC string).
    pub password: String,
    /// Secret of the one-time codes, if they are in force.
    pub totp: Option<Vec<u8>>,
    /// Time step of the last code that was taken; no code of this step or of one before is taken again.
    pub totp_step: i64,
    /// Creation.
    pub created_at: Timestamp,
}

/// An API key as stored: its SHA-256, never itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKey {
    /// Row number.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Rights.
    pub role: Role,
    /// Sensors.
    pub groups: Groups,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// Creation.
    pub created_at: Timestamp,
    /// End; none for a key that does not expire.
    pub expires_at: Option<Timestamp>,
    /// Latest use, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// A log-in of a user: what a session cookie stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogIn {
    /// SHA-256 of the cookie.
    pub hash: [u8; 32],
    /// Row number of the user.
    pub user: i64,
    /// Time of the log-in.
    pub created_at: Timestamp,
    /// It ends then.
    pub expires_at: Timestamp,
    /// Address of the client.
    pub address: String,
}

/// Sensors that a caller may see.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Every sensor, also those that are enrolled later.
    All,
    /// These, and no other.
    Sensors(Arc<SensorSet>),
}

/// Sensors of some groups.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SensorSet {
    /// Row numbers.
    pub ids: BTreeSet<i64>,
    /// Names.
    pub names: HashSet<String>,
}

impl Scope {
    /// Returns true if the sensor of this row may be seen.
    #[must_use]
    pub fn has(&self, sensor: SensorId) -> bool {
        match self {
            Self::All => true,
            Self::Sensors(set) => set.ids.contains(&sensor.0),
        }
    }

    /// Returns true if the sensor of this name may be seen.
    #[must_use]
    pub fn has_name(&self, sensor: &str) -> bool {
        match self {
            Self::All => true,
            Self::Sensors(set) => set.names.contains(sensor),
        }
    }

    /// Row numbers for a query; none if it needs no condition.
    #[must_use]
    pub fn ids(&self) -> Option<Arc<[SensorId]>> {
        match self {
            Self::All => None,
            Self::Sensors(set) => Some(set.ids.iter().copied().map(SensorId).collect()),
        }
    }
}

/// Place from which a request comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whence {
    /// The command line of the collector's machine.
    CommandLine,
    /// A client of this address.
    Address(IpAddr),
}

impl fmt::Display for Whence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => out.write_str("command line"),
            Self::Address(address) => address.to_canonical().fmt(out),
        }
    }
}

/// A line of the audit before it has its place in the chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditEntry {
    /// Time of the attempt.
    pub at: Timestamp,
    /// Account, or what stands for one: `user anna`, `key backup`, `loopback`, `operator root`.
    pub who: String,
    /// Place.
    pub whence: Whence,
    /// Name of the operation.
    pub what: String,
    /// Its object and its values, without secrets.
    pub detail: String,
    /// `ok`, or the reason of the refusal.
    pub result: String,
}

/// A stored line of the audit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRow {
    /// Row number, from 1 without a hole.
    pub id: i64,
    /// Time.
    pub at: Timestamp,
    /// Account, key or command that acted.
    pub who: String,
    /// Whence.
    pub whence: String,
    /// Operation and its object.
    pub what: String,
    /// Its object and its values.
    pub detail: String,
    /// Result.
    pub result: String,
    /// SHA-256 of the row before and of this one.
    pub hash: [u8; 32],
}
