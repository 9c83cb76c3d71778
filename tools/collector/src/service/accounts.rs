//! Use cases of users, keys, groups and the audit.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rusqlite::Connection;

use super::access::{Caller, authorize};
use super::change_error::ChangeError;
use super::operations::Operation;
use super::operations::parameter::MAX_GROUPS;
use crate::access::password;
use crate::access::secret::{self, Secret};
use crate::access::{Access, totp};
use crate::clock;
use crate::model::{ApiKey, AuditEntry, AuditRow, Groups, Role, Sensor, User, is_valid_name};
use crate::store::access::accounts::{self, NewUser};
use crate::store::access::{audit, keys, sensor_groups};
use crate::store::{StoreError, sensors};

/// Users, and keys, at most.
pub const MAX_ACCOUNTS: usize = 1_000;
/// Lines of the audit in one page, at most.
pub const MAX_AUDIT_LEN: u32 = 1_000;
/// Validity of a one-time code of an administrator.
pub const CODE_TIME: Duration = Duration::from_secs(7 * 86_400);

type Changed<T> = Result<T, ChangeError>;

/// Rights of a user or a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rights {
    /// Role.
    pub role: Role,
    /// Sensors.
    pub groups: Groups,
}

impl fmt::Display for Rights {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.role)?;
        match &self.groups {
            None => out.write_str(" of every sensor"),
            Some(groups) => {
                write!(out, " of groups {}", groups.iter().cloned().collect::<Vec<_>>().join(","))
            }
        }
    }
}

fn ok(caller: &Caller, operation: Operation, detail: String) -> AuditEntry {
    caller.entry(operation, detail, "ok".into())
}

fn check_groups(groups: &Groups) -> Changed<()> {
    let Some(groups) = groups else { return Ok(()) };
    if groups.len() > MAX_GROUPS {
        return Err(ChangeError::TooMany("groups", MAX_GROUPS));
    }
    if groups.iter().all(|group| is_valid_name(group)) { Ok(()) } else { Err(ChangeError::Name("group")) }
}

fn find(connection: &Connection, name: &str) -> Changed<User> {
    let users = accounts::users(connection)?;
    let found = users.into_iter().find(|user| user.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| ChangeError::Unknown("user", name.into()))
}

/// An error if `user`, without its rights, would leave nobody who may manage the collector.
fn keep_administrator(connection: &Connection, user: &User) -> Changed<()> {
    let manages = |user: &User| user.role == Role::Admin && user.groups.is_none();
    let others = accounts::users(connection)?.into_iter().filter(|other| other.id != user.id);
    if manages(user) && !others.into_iter().any(|other| manages(&other)) {
        return Err(ChangeError::LastAdministrator);
    }
    Ok(())
}

/// Makes a user.
///
/// # Errors
/// [`ChangeError`]. All functions of this module block: they hash, or synchronise the disk.
pub fn add_user(
    access: &Access,
    caller: &Caller,
    name: &str,
    rights: &Rights,
    password: &str,
) -> Changed<()> {
    authorize(caller, Operation::AddUser)?;
    if !is_valid_name(name) {
        return Err(ChangeError::Name("name"));
    }
    check_groups(&rights.groups)?;
    password::check_new(password, name).map_err(ChangeError::Weak)?;
    let hash = password::hash(password)?;
    access.change(|connection| {
        if accounts::users(connection)?.len() >= MAX_ACCOUNTS {
            return Err(ChangeError::TooMany("users", MAX_ACCOUNTS));
        }
        let new = NewUser { name, role: rights.role, groups: &rights.groups, password: &hash };
        accounts::add(connection, &new, clock::now())?;
        Ok(((), ok(caller, Operation::AddUser, format!("user {name}, {rights}"))))
    })
}

/// Change of a user by an administrator; what is none stays.
#[derive(Clone, Default)]
pub struct UserChange {
    /// New role.
    pub role: Option<Role>,
    /// New groups.
    pub groups: Option<Groups>,
    /// New password; every log-in of the user ends.
    pub password: Option<String>,
    /// Takes the one-time codes away.
    pub without_totp: bool,
}

impl fmt::Debug for UserChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "UserChange to {:?} {:?}", self.role, self.groups)
    }
}

/// Changes a user.
///
/// # Errors
/// [`ChangeError`].
pub fn change_user(access: &Access, caller: &Caller, name: &str, change: &UserChange) -> Changed<()> {
    authorize(caller, Operation::ChangeUser)?;
    if let Some(groups) = &change.groups {
        check_groups(groups)?;
    }
    let password = change.password.as_deref();
    password.map_or(Ok(()), |password| password::check_new(password, name)).map_err(ChangeError::Weak)?;
    let hash = password.map(password::hash).transpose()?;
    access.change(|connection| {
        let user = find(connection, name)?;
        let rights = Rights {
            role: change.role.unwrap_or(user.role),
            groups: change.groups.clone().unwrap_or_else(|| user.groups.clone()),
        };
        if rights.role != Role::Admin || rights.groups.is_some() {
            keep_administrator(connection, &user)?;
        }
        accounts::set_rights(connection, user.id, rights.role, &rights.groups)?;
        if let Some(hash) = &hash {
            accounts::set_password(connection, user.id, hash)?;
        }
        if change.without_totp {
            accounts::set_totp(connection, user.id, None, 0)?;
        }
        let secrets = match (hash.is_some(), change.without_totp) {
            (false, false) => "",
            (true, false) => ", new password",
            (false, true) => ", without one-time codes",
            (true, true) => ", new password, without one-time codes",
        };
        Ok(((), ok(caller, Operation::ChangeUser, format!("user {}, {rights}{secrets}", user.name))))
    })
}

/// Removes a user with its log-ins.
///
/// # Errors
/// [`ChangeError`].
pub fn remove_user(access: &Access, caller: &Caller, name: &str) -> Changed<()> {
    authorize(caller, Operation::RemoveUser)?;
    access.change(|connection| {
        let user = find(connection, name)?;
        keep_administrator(connection, &user)?;
        accounts::remove(connection, user.id)?;
        Ok(((), ok(caller, Operation::RemoveUser, format!("user {}", user.name))))
    })
}

/// Ends every log-in of a user and returns their number.
///
/// # Errors
/// [`ChangeError`].
pub fn end_log_ins(access: &Access, caller: &Caller, name: &str) -> Changed<usize> {
    authorize(caller, Operation::EndLogIns)?;
    access.change(|connection| {
        let user = find(connection, name)?;
        let ended = accounts::end_all(connection, user.id)?;
        Ok((ended, ok(caller, Operation::EndLogIns, format!("user {}, {ended} log-ins", user.name))))
    })
}

/// Ends the log-in of the caller, or all of its user.
///
/// # Errors
/// [`ChangeError`].
pub fn log_out(access: &Access, caller: &Caller, all: bool) -> Changed<()> {
    authorize(caller, Operation::LogOut)?;
    let Caller::Account(logged_in) = caller else { return Ok(()) }; // authorised: it is one
    access.change(|connection| {
        match (caller.user(), &logged_in.log_in) {
            (Some(user), _) if all => drop(accounts::end_all(connection, user)?),
            (_, Some(hash)) => drop(accounts::end(connection, hash)?),
            _ => {}
        }
        let detail = if all { "every log-in of the user" } else { "this log-in" };
        Ok(((), ok(caller, Operation::LogOut, detail.into())))
    })
}

/// The caller as a user whose password is `password`. Wrong ones are counted and slowed down by the transport, as log-ins are.
fn proved(access: &Access, caller: &Caller, password: &str) -> Changed<User> {
    let directory = access.directory();
    let user = caller.user().and_then(|id| directory.user_of(id)).cloned();
    let user = user.ok_or_else(|| ChangeError::Unknown("user", caller.who()))?;
    if password::verify(password, Some(&user.password)) { Ok(user) } else { Err(ChangeError::WrongPassword) }
}

/// Changes the password of the caller, and ends its log-ins.
///
/// # Errors
/// [`ChangeError`].
pub fn change_password(access: &Access, caller: &Caller, present: &str, new: &str) -> Changed<()> {
    authorize(caller, Operation::ChangePassword)?;
    let user = proved(access, caller, present)?;
    password::check_new(new, &user.name).map_err(ChangeError::Weak)?;
    let hash = password::hash(new)?;
    access.change(|connection| {
        accounts::set_password(connection, user.id, &hash)?;
        Ok(((), ok(caller, Operation::ChangePassword, format!("user {}", user.name))))
    })
}

/// Offers the caller a secret for one-time codes: as text, and as a URI. It is in force once a code of it has been shown.
///
/// # Errors
/// [`ChangeError`].
pub fn offer_totp(access: &Access, caller: &Caller, password: &str) -> Changed<(String, String)> {
    authorize(caller, Operation::SetTotp)?;
    let user = proved(access, caller, password)?;
    let secret = totp::generate()?;
    access.change(|connection| {
        accounts::offer_totp(connection, user.id, &secret)?;
        Ok((totp::texts(&secret, &user.name), ok(caller, Operation::SetTotp, "offered".into())))
    })
}

/// Puts the offered secret in force.
///
/// # Errors
/// [`ChangeError`].
pub fn confirm_totp(access: &Access, caller: &Caller, password: &str, code: &str) -> Changed<()> {
    authorize(caller, Operation::SetTotp)?;
    let user = proved(access, caller, password)?;
    access.change(|connection| {
        let secret = accounts::offered_totp(connection, user.id)?.ok_or(ChangeError::WrongCode)?;
        let step = totp::verify(&secret, code, clock::now(), user.totp_step).ok_or(ChangeError::WrongCode)?;
        accounts::set_totp(connection, user.id, Some(&secret), step)?;
        Ok(((), ok(caller, Operation::SetTotp, "in force".into())))
    })
}

/// Does without one-time codes.
///
/// # Errors
/// [`ChangeError`].
pub fn remove_totp(access: &Access, caller: &Caller, password: &str) -> Changed<()> {
    authorize(caller, Operation::RemoveTotp)?;
    let user = proved(access, caller, password)?;
    access.change(|connection| {
        accounts::set_totp(connection, user.id, None, 0)?;
        Ok(((), ok(caller, Operation::RemoveTotp, format!("user {}", user.name))))
    })
}

/// Makes an API key, which is shown this once.
///
/// # Errors
/// [`ChangeError`].
pub fn add_key(
    access: &Access,
    caller: &Caller,
    name: &str,
    rights: &Rights,
    expires: Option<Duration>,
) -> Changed<Secret> {
    authorize(caller, Operation::AddKey)?;
    if !is_valid_name(name) {
        return Err(ChangeError::Name("name"));
    }
    check_groups(&rights.groups)?;
    let (secret, now) = (Secret::generate()?, clock::now());
    access.change(|connection| {
        if keys::all(connection)?.len() >= MAX_ACCOUNTS {
            return Err(ChangeError::TooMany("keys", MAX_ACCOUNTS));
        }
        let key = ApiKey {
            id: 0,
            name: name.into(),
            role: rights.role,
            groups: rights.groups.clone(),
            hash: secret.hash(),
            created_at: now,
            expires_at: expires.map(|span| now.after(span)),
            last_used_at: None,
        };
        keys::add(connection, &key)?;
        let until =
            key.expires_at.map_or_else(|| "without an end".into(), |at| format!("until {}", at.rfc3339()));
        Ok(((), ok(caller, Operation::AddKey, format!("key {name}, {rights}, {until}"))))
    })?;
    Ok(secret)
}

/// Removes an API key.
///
/// # Errors
/// [`ChangeError`].
pub fn remove_key(access: &Access, caller: &Caller, name: &str) -> Changed<()> {
    authorize(caller, Operation::RemoveKey)?;
    access.change(|connection| {
        if !keys::remove(connection, name)? {
            return Err(ChangeError::Unknown("key", name.into()));
        }
        Ok(((), ok(caller, Operation::RemoveKey, format!("key {name}"))))
    })
}

/// Every key, by name.
///
/// # Errors
/// [`ChangeError`].
pub fn list_keys(access: &Access, caller: &Caller) -> Changed<Vec<ApiKey>> {
    authorize(caller, Operation::ListKeys)?;
    Ok(access.look(keys::all)?)
}

/// Puts a sensor into groups.
///
/// # Errors
/// [`ChangeError`].
pub fn set_groups(
    access: &Access,
    caller: &Caller,
    sensor: &str,
    groups: &BTreeSet<String>,
) -> Changed<Sensor> {
    authorize(caller, Operation::SetGroups)?;
    check_groups(&Some(groups.clone()))?;
    access.change(|connection| {
        let found = sensors::find(connection, sensor)?;
        let sensor = found.ok_or_else(|| ChangeError::Unknown("sensor", sensor.into()))?;
        sensor_groups::set(connection, sensor.id, groups)?;
        let names = groups.iter().cloned().collect::<Vec<_>>().join(",");
        let entry = ok(caller, Operation::SetGroups, format!("sensor {}, groups {names}", sensor.name));
        Ok((sensor, entry))
    })
}

/// Makes a one-time code of an administrator in place of those before it, as text to be shown once.
///
/// # Errors
/// [`ChangeError`].
pub fn new_code(access: &Access) -> Changed<String> {
    let code = secret::code()?;
    access.change(|connection| {
        accounts::set_code(connection, &secret::code_hash(&code), clock::now().after(CODE_TIME))?;
        let entry = ok(&Caller::Operator, Operation::SetAdministrator, "one-time code made".into());
        Ok::<_, ChangeError>((code.clone(), entry))
    })
}

/// Lines of the audit before the row `before`, newest first.
///
/// # Errors
/// [`ChangeError`].
pub fn audit_page(access: &Access, caller: &Caller, before: i64, limit: u32) -> Changed<Vec<AuditRow>> {
    authorize(caller, Operation::ReadAudit)?;
    Ok(access.look(|connection| audit::page(connection, before, limit.clamp(1, MAX_AUDIT_LEN)))?)
}

/// Appends a line about a change that a command of the operator made to the files.
///
/// # Errors
/// Errors of the database.
pub(super) fn record(
    connection: &mut Connection,
    caller: &Caller,
    operation: Operation,
    detail: String,
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    audit::append(&transaction, &ok(caller, operation, detail))?;
    transaction.commit()?;
    Ok(())
}
