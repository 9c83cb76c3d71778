//! Commands about who may come in: `init`, `users`, `keys`, `audit`, `sensors group`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{DEFAULT_LISTEN, StoreArguments, print, span};
use crate::access::Access;
use crate::api::render;
use crate::clock;
use crate::first_start::{self, InitRequest};
use crate::log::Log;
use crate::model::{AuditRow, Groups, Role};
use crate::service::Caller;
use crate::service::accounts::{self, MAX_AUDIT_LEN, Rights};
use crate::store::Files;
use crate::store::access::audit::{self, Chain};
use crate::store::key::hex;

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| "a role is one of viewer, analyst, operator, admin".into())
}

fn groups(names: Vec<String>) -> Groups {
    (!names.is_empty()).then(|| names.into_iter().collect())
}

fn access(files: Files) -> anyhow::Result<Access> {
    let access = Access::new(Arc::new(files), Log::default());
    access.refresh()?;
    Ok(access)
}

pub(super) fn set_groups(files: Files, sensor: &str, names: Vec<String>) -> anyhow::Result<String> {
    let set = names.into_iter().collect();
    let sensor = accounts::set_groups(&access(files)?, &Caller::Operator, sensor, &set)?;
    let names: Vec<String> = set.into_iter().collect();
    let of = if names.is_empty() { "no group".into() } else { names.join(", ") };
    Ok(format!("{} is in {of}\n", sensor.name))
}

const INIT_HELP: &str = "Makes in the data directory certs/ca.crt, certs/ca.key, certs/server.crt, certs/server.key, collector.toml and \
    administrator.code, all with mode 0600, and an API key, which is shown once. What exists is left as it is. `run` then serves \
    HTTPS with a log-in. A certificate of your own: put its files into collector.toml.";

#[derive(Args, Debug)]
#[command(after_help = INIT_HELP)]
pub(super) struct InitArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Name or address by which browsers reach this collector; may be given several times.
    #[arg(long = "name", value_name = "HOST", required = true)]
    names: Vec<String>,
    /// Address for the page and the API.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443")]
    http: SocketAddr,
    /// Address for sensors.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Role of the API key: viewer, analyst, operator or admin.
    #[arg(long, value_name = "ROLE", default_value = "viewer", value_parser = role)]
    key_role: Role,
}

impl InitArguments {
    pub(super) fn execute(self) -> anyhow::Result<()> {
        let Self { store, names, http, listen, key_role } = self;
        let request = InitRequest { names, http, listen, key_role };
        print(&first_start::init(store.files()?, &request)?)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum UsersAction {
    /// List the users.
    List {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Print a one-time code with which an administrator sets a password on the page /start. Codes made before are void.
    Code {
        #[command(flatten)]
        store: StoreArguments,
    },
}

impl UsersAction {
    pub(super) fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::List { store } => print(&users(&access(store.existing_files()?)?)),
            Self::Code { store } => {
                let files = store.existing_files()?;
                let directory = files.directory().to_owned();
                print(&format!("{}\n", first_start::replace_code(&access(files)?, &directory)?))
            }
        }
    }
}

fn groups_text(groups: &Groups) -> String {
    groups
        .as_ref()
        .map_or_else(|| "all".into(), |groups| groups.iter().cloned().collect::<Vec<_>>().join(","))
}

fn users(access: &Access) -> String {
    let (directory, now) = (access.directory(), clock::now());
    let mut text = format!("{:<24} {:<9} {:<5} {:>6}  SENSORS\n", "NAME", "ROLE", "CODES", "LOGINS");
    for user in directory.users() {
        let codes = if user.totp.is_some() { "yes" } else { "no" };
        let (log_ins, groups) = (directory.log_ins(user.id, now), groups_text(&user.groups));
        let _ = writeln!(text, "{:<24} {:<9} {codes:<5} {log_ins:>6}  {groups}", user.name, user.role);
    }
    text
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysAction {
    /// List the API keys.
    List {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Make an API key and print it, this once.
    Add {
        #[command(flatten)]
        store: StoreArguments,
        /// Name of the key.
        name: String,
        /// viewer, analyst, operator or admin.
        #[arg(long, value_name = "ROLE", default_value = "viewer", value_parser = role)]
        role: Role,
        /// Limits it to the sensors of this group; may be given several times.
        #[arg(long = "group", value_name = "NAME")]
        groups: Vec<String>,
        /// Validity, such as 24h or 90d; without it the key does not expire.
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires: Option<Duration>,
    },
    /// Remove an API key. A running collector refuses it within a second.
    Remove {
        #[command(flatten)]
        store: StoreArguments,
        /// Name of the key.
        name: String,
    },
}

impl KeysAction {
    pub(super) fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::List { store } => print(&keys(&access(store.existing_files()?)?)?),
            Self::Add { store, name, role, groups: names, expires } => {
                let rights = Rights { role, groups: groups(names) };
                let access = access(store.existing_files()?)?;
                let key = accounts::add_key(&access, &Caller::Operator, &name, &rights, expires)?;
                print(&format!("{}\n", key.reveal()))
            }
            Self::Remove { store, name } => {
                accounts::remove_key(&access(store.existing_files()?)?, &Caller::Operator, &name)?;
                print(&format!("removed {name}\n"))
            }
        }
    }
}

fn keys(access: &Access) -> anyhow::Result<String> {
    let mut text = format!("{:<24} {:<9} {:<28} {:<28} SENSORS\n", "NAME", "ROLE", "EXPIRES", "LAST USE");
    for key in accounts::list_keys(access, &Caller::Operator)? {
        let time = |at: Option<sentinel_units::Timestamp>| {
            at.map_or_else(|| "never".into(), |at| at.rfc3339().to_string())
        };
        let (expires, used) = (time(key.expires_at), time(key.last_used_at));
        let groups = groups_text(&key.groups);
        let _ = writeln!(text, "{:<24} {:<9} {expires:<28} {used:<28} {groups}", key.name, key.role);
    }
    Ok(text)
}

#[derive(Args, Debug)]
pub(super) struct AuditArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Check every line; a broken chain is an error that names the row.
    #[arg(long)]
    verify: bool,
    /// Print JSON, one line each.
    #[arg(long)]
    json: bool,
    /// Number of lines.
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
}

impl AuditArguments {
    pub(super) fn execute(self) -> anyhow::Result<()> {
        let access = access(self.store.existing_files()?)?;
        if self.verify {
            return match access.look(audit::verify)? {
                Chain::Whole(rows, hash) => {
                    print(&format!("{rows} rows, every one in its place; newest {}\n", hex(&hash)))
                }
                Chain::Broken(row) => {
                    bail!("the audit is broken at row {row}: it was changed or removed, or one put before it")
                }
            };
        }
        let (mut before, mut left) = (i64::MAX, self.last);
        while left > 0 {
            let rows = accounts::audit_page(&access, &Caller::Operator, before, left.min(MAX_AUDIT_LEN))?;
            let Some(oldest) = rows.last().map(|row| row.id) else { break };
            let text: String = rows.iter().map(|row| line(row, self.json)).collect();
            print(&text)?;
            left -= u32::try_from(rows.len()).unwrap_or(left);
            before = oldest;
        }
        Ok(())
    }
}

fn line(row: &AuditRow, json: bool) -> String {
    if json {
        return format!("{}\n", render::audit_row(row));
    }
    let AuditRow { id, at, who, whence, what, detail, result, .. } = row;
    let text = format!("{id:>6}  {}  {who}  from {whence}  {what}  {detail}: {result}", at.rfc3339());
    // The whole line, but nothing in it controls the terminal.
    let plain: String = text.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
    format!("{plain}\n")
}
