//! The command line. Every setting is a flag and an environment variable.

mod access;
mod backup;

use std::env::VarError;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::configuration::{self, Configuration};
use crate::log::Log;
use crate::model::Loopback;
use crate::run::CollectorSettings;
use crate::service::{self, Caller, TokenRequest, operator_name};
use crate::store::{Files, RetentionLimits, StoreLimits};
use crate::time_text::parse_span;
use crate::tls::CertificateFiles;
use crate::watch::WatchOptions;
use crate::{enroll, run, watch};
use access::{AuditArguments, InitArguments, KeysAction, UsersAction};
use backup::{BackupArguments, RestoreArguments};

/// Collector of Sentinel: stores the alerts of many sensors, encrypted, and serves them.
#[derive(Debug, Parser)]
#[command(name = "sentinel-collector", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive alerts and serve the page and the API until SIGTERM or Ctrl+C.
    Run(RunArguments),
    /// Make certificates, an administrator code, an API key and settings, so that other machines can be let in.
    Init(InitArguments),
    /// Show who did what, newest first, or check that nothing of it has been changed.
    Audit(AuditArguments),
    /// Show users, or let an administrator set a password.
    Users {
        #[command(subcommand)]
        action: UsersAction,
    },
    /// Show, make and remove API keys.
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
    /// Print a one-time token that enrolls one sensor.
    Enroll(EnrollArguments),
    /// List the sensors with their stored and lost alerts.
    #[command(args_conflicts_with_subcommands = true)]
    Sensors {
        #[command(flatten)]
        store: StoreArguments,
        /// Print JSON as GET /api/v1/sensors does.
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        action: Option<SensorAction>,
    },
    /// Replace the key of this collector, or show how far that is.
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Revoke a sensor. A running collector ends its session within a second.
    Revoke {
        #[command(flatten)]
        store: StoreArguments,
        /// Name, number or public key of the sensor.
        sensor: String,
    },
    /// Write store and keys into one encrypted file. The collector may run meanwhile.
    Backup(BackupArguments),
    /// Make a data directory from a backup, or check one.
    Restore(RestoreArguments),
    /// Print alerts as they arrive.
    Watch(WatchArguments),
}

#[derive(Debug, Subcommand)]
enum SensorAction {
    /// Note that you know of the unclean runs of a sensor: they are not shown as open any more. Who and when is kept.
    Acknowledge {
        #[command(flatten)]
        store: StoreArguments,
        /// Name, number or public key of the sensor.
        sensor: String,
    },
    /// Put a sensor into groups, such as sites, and no others; users and keys can be limited to groups.
    Group {
        #[command(flatten)]
        store: StoreArguments,
        /// Name, number or public key of the sensor.
        sensor: String,
        /// Names of the groups; none takes it out of all.
        groups: Vec<String>,
    },
    /// Let a sensor replace its key, now or when it connects the next time.
    Rotate {
        #[command(flatten)]
        store: StoreArguments,
        /// Name, number or public key of the sensor.
        sensor: String,
    },
}

const ROTATE_HELP: &str = "The next key is announced to every sensor in its session. It is in force once all have stored it, at \
    the latest after --overlap. Sensors that were away until then are served with the old key for --keep, and given the new one; \
    after that they must be enrolled again. Replaced keys stay in the directory: they open the logs that were sealed to them.";

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Make the next key of this collector, and announce it.
    #[command(after_help = ROTATE_HELP)]
    Rotate {
        #[command(flatten)]
        store: StoreArguments,
        /// Longest time until the next key is in force.
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span)]
        overlap: Duration,
        /// Time from then on for which sensors that have only the old key are served.
        #[arg(long, value_name = "SPAN", default_value = "90d", value_parser = span)]
        keep: Duration,
    },
    /// Show the keys of this collector, and the sensors that have not stored the next one.
    Status {
        #[command(flatten)]
        store: StoreArguments,
    },
}

#[derive(Args, Debug)]
struct StoreArguments {
    /// Directory of the database and the keys. `run` creates it with mode 0700.
    #[arg(
        long,
        env = "SENTINEL_COLLECTOR_DATA",
        value_name = "DIR",
        default_value = "/var/lib/sentinel-collector"
    )]
    data: PathBuf,
}

impl StoreArguments {
    fn files(&self) -> anyhow::Result<Files> {
        become_owner(&self.data)?;
        Ok(Files::locate(&self.data, database_key()?.as_deref())?)
    }

    /// Files of a collector that exists: a misspelt directory must not become a new one.
    fn existing_files(&self) -> anyhow::Result<Files> {
        if !self.data.join(crate::store::DATABASE).exists() {
            bail!(
                "there is no collector in {}; `run` makes one there, `enroll --create` too, or give another --data",
                self.data.display()
            );
        }
        self.files()
    }
}

/// Key of the database in the environment. Not a flag: other users can read the arguments of a process.
fn database_key() -> anyhow::Result<Option<String>> {
    match std::env::var("SENTINEL_DB_KEY") {
        Ok(key) => Ok(Some(key)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!("SENTINEL_DB_KEY is not UTF-8"),
    }
}

/// Takes root's rights away if the directory belongs to another user: files that root made in it could not be read or written by a
/// collector that runs as that user. Called before there is a second thread.
fn become_owner(directory: &Path) -> anyhow::Result<()> {
    let Ok(found) = std::fs::metadata(directory) else { return Ok(()) };
    if !geteuid().is_root() || found.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(group, group, group))
        .and_then(|()| set_thread_res_uid(user, user, user))
        .with_context(|| format!("becoming the owner of {}, user {}", directory.display(), found.uid()))
}

const KEY_HELP: &str = "The database is encrypted with the key in SENTINEL_DB_KEY (64 hexadecimal digits, or a \
    passphrase), else with DIR/db.key, which is created at the first start. Keep a copy of it: without it the \
    alerts cannot be read.";

#[derive(Args, Debug)]
#[command(after_help = KEY_HELP)]
struct RunArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Settings that `init` has made; flags and variables win. Without it DIR/collector.toml, if there is one.
    #[arg(long, env = "SENTINEL_COLLECTOR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for sensors [default: 0.0.0.0:4477].
    #[arg(long, env = "SENTINEL_COLLECTOR_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Address for the page and the API [default: 127.0.0.1:8080]. One that other machines reach needs a certificate.
    #[arg(long, env = "SENTINEL_COLLECTOR_HTTP", value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// Certificate for --http with those that signed it, as PEM. SIGHUP reads it again.
    #[arg(long, env = "SENTINEL_COLLECTOR_CERTIFICATE", value_name = "FILE", requires = "certificate_key")]
    certificate: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, env = "SENTINEL_COLLECTOR_CERTIFICATE_KEY", value_name = "FILE", requires = "certificate")]
    certificate_key: Option<PathBuf>,
    /// Role of clients on this machine that have not logged in: none, viewer, analyst, operator or admin [default: analyst, and
    /// none after `init`].
    #[arg(long, env = "SENTINEL_COLLECTOR_LOOPBACK", value_name = "ROLE", value_parser = configuration::loopback)]
    loopback: Option<Loopback>,
    /// Is gone.
    #[arg(long, env = "SENTINEL_COLLECTOR_HTTP_ALLOW_REMOTE", hide = true)]
    http_allow_remote: bool,
    /// Append log lines to this file instead of standard error.
    #[arg(long, env = "SENTINEL_COLLECTOR_LOG", value_name = "FILE")]
    log: Option<PathBuf>,
    /// Maximum number of connected sensors; further ones are rejected. Half as many connections may be in the handshake.
    #[arg(long, env = "SENTINEL_COLLECTOR_MAX_CONNECTIONS", value_name = "NUMBER", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
    /// MiB that the store keeps of one sensor. Nothing more is stored of one that has used them up; it keeps its alerts.
    #[arg(long, env = "SENTINEL_COLLECTOR_SENSOR_QUOTA", value_name = "MIB", default_value_t = 1_024,
          value_parser = clap::value_parser!(u32).range(1..))]
    sensor_quota: u32,
    /// Days after its last message for which an incident and its alerts are kept. Open incidents are always kept.
    #[arg(long, env = "SENTINEL_COLLECTOR_KEEP_DAYS", value_name = "DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_days: u32,
    /// MiB of the store above which the oldest incidents go, if --keep-days would still keep them.
    #[arg(long, env = "SENTINEL_COLLECTOR_KEEP_SIZE", value_name = "MIB", default_value_t = 10_240,
          value_parser = clap::value_parser!(u32).range(16..))]
    keep_size: u32,
}

impl RunArguments {
    fn store_limits(&self) -> StoreLimits {
        let age = Duration::from_secs(u64::from(self.keep_days) * 86_400);
        let retention = RetentionLimits { age: Some(age), bytes: Some(u64::from(self.keep_size) << 20) };
        StoreLimits { sensor_bytes: u64::from(self.sensor_quota) << 20, retention }
    }
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 4477);
const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

#[derive(Args, Debug)]
#[command(after_help = KEY_HELP)]
struct EnrollArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Make a new collector if there is none in the directory, as `run` does.
    #[arg(long)]
    create: bool,
    /// Name of the sensor; without it the sensor chooses.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Address at which the sensor reaches this collector; without it the main address of this machine.
    #[arg(long, env = "SENTINEL_COLLECTOR_ADDRESS", value_name = "HOST:PORT")]
    address: Option<String>,
    /// Address on which the collector listens; supplies the port if there is no --address.
    #[arg(long, env = "SENTINEL_COLLECTOR_LISTEN", value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Validity of the token, such as 30m, 24h or 7d.
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span)]
    expires: Duration,
}

/// Longest validity of a token: a year.
const MAX_EXPIRES: Duration = Duration::from_secs(365 * 86_400);

fn span(text: &str) -> Result<Duration, InvalidSpan> {
    parse_span(text).filter(|span| !span.is_zero() && *span <= MAX_EXPIRES).ok_or(InvalidSpan)
}

/// A text that is not a span from one second to [`MAX_EXPIRES`].
#[derive(Clone, Copy, Debug)]
struct InvalidSpan;

impl fmt::Display for InvalidSpan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a span is a number and a unit, such as 90s, 30m, 24h or 7d, up to 365d")
    }
}

impl std::error::Error for InvalidSpan {}

#[derive(Args, Debug)]
struct WatchArguments {
    /// The collector's HTTP address.
    #[arg(long, env = "SENTINEL_COLLECTOR_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// File of an API key, which only you may read; else the key is taken from `SENTINEL_COLLECTOR_KEY`.
    #[arg(long, env = "SENTINEL_COLLECTOR_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Certificates that may sign the collector's, such as certs/ca.crt of `init`; else those that the system trusts.
    #[arg(long, env = "SENTINEL_COLLECTOR_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print the sensors once, as a table.
    #[arg(long)]
    sensors: bool,
    /// Stored alerts printed at the start.
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=1_000))]
    last: u32,
}

impl Arguments {
    /// Runs the command.
    ///
    /// # Errors
    /// Errors of the command, with their causes, as one line for the operator.
    pub fn execute(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(arguments) => run::run(arguments.settings()?),
            Command::Init(arguments) => arguments.execute(),
            Command::Audit(arguments) => arguments.execute(),
            Command::Users { action } => action.execute(),
            Command::Keys { action } => action.execute(),
            Command::Enroll(arguments) => arguments.execute(),
            Command::Sensors { action: Some(action), .. } => action.execute(),
            Command::Key { action } => action.execute(),
            Command::Sensors { store, json, action: None } => {
                let sensors = service::stored_sensors(&store.existing_files()?, &Caller::Operator)?;
                print(&enroll::listing(&sensors, json))
            }
            Command::Revoke { store, sensor } => {
                let revoked = service::revoke_sensor(&store.existing_files()?, &Caller::Operator, &sensor)?;
                print(&format!("revoked {}\n", revoked.name))
            }
            Command::Backup(arguments) => arguments.execute(),
            Command::Restore(arguments) => arguments.execute(),
            Command::Watch(arguments) => watch::watch(&WatchOptions {
                key: watch::Key::find(
                    arguments.key_file.as_deref(),
                    std::env::var("SENTINEL_COLLECTOR_KEY").ok(),
                )?,
                authority: arguments.ca,
                url: arguments.url,
                sensors: arguments.sensors,
                last: arguments.last,
                colour: io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            }),
        }
    }
}

impl RunArguments {
    fn settings(self) -> anyhow::Result<CollectorSettings> {
        if self.http_allow_remote {
            bail!(
                "--http-allow-remote (SENTINEL_COLLECTOR_HTTP_ALLOW_REMOTE) is gone: other machines get in only over TLS with a \
                 log-in. Run `sentinel-collector init --name HOST` once, then `run` without it"
            );
        }
        let (files, store_limits) = (self.store.files()?, self.store_limits());
        let given = Configuration::load(self.config.as_deref(), files.directory())?;
        let certificate = match (self.certificate, self.certificate_key) {
            (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
            _ => given.certificate,
        };
        let (listen, http) = (given.listen.unwrap_or(DEFAULT_LISTEN), given.http.unwrap_or(DEFAULT_HTTP));
        Ok(CollectorSettings {
            listen: self.listen.unwrap_or(listen),
            http: self.http.unwrap_or(http),
            certificate,
            loopback: self.loopback.unwrap_or(given.loopback),
            log: open_log(self.log.as_deref())?,
            max_connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
            store_limits,
            files,
        })
    }
}

impl SensorAction {
    fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Acknowledge { store, sensor } => {
                let (name, runs) = service::acknowledge_runs(
                    &store.existing_files()?,
                    &Caller::Operator,
                    &sensor,
                    &operator_name(),
                )?;
                let runs = if runs == 1 { "1 unclean run".into() } else { format!("{runs} unclean runs") };
                print(&format!("{runs} of {name} acknowledged, and its lost and missing alerts up to now\n"))
            }
            Self::Group { store, sensor, groups } => {
                print(&access::set_groups(store.existing_files()?, &sensor, groups)?)
            }
            Self::Rotate { store, sensor } => {
                let sensor =
                    service::rotate_sensor_key(&store.existing_files()?, &Caller::Operator, &sensor)?;
                print(&format!(
                    "{} replaces its key when it is connected, from version 3 of the protocol on\n",
                    sensor.name
                ))
            }
        }
    }
}

impl KeyAction {
    fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Rotate { store, overlap, keep } => {
                let files = store.existing_files()?;
                enroll::rotate_key(&files, overlap, keep)?;
                print(&enroll::key_status(&files)?)
            }
            Self::Status { store } => print(&enroll::key_status(&store.existing_files()?)?),
        }
    }
}

fn open_log(path: Option<&Path>) -> anyhow::Result<Log> {
    Log::open(path).with_context(|| {
        let path = path.unwrap_or_else(|| Path::new("standard error"));
        format!("cannot open the log {}", path.display())
    })
}

impl EnrollArguments {
    fn execute(self) -> anyhow::Result<()> {
        // A token of a collector that nobody runs enrolls no sensor: only `run` and --create make one.
        let files = if self.create { self.store.files()? } else { self.store.existing_files()? };
        let address = self.address.unwrap_or_else(|| enroll::likely_address(self.listen));
        let name = self.name.unwrap_or_default();
        let collector = enroll::identity(&files)?.public();
        let request = TokenRequest { name: &name, address: &address, collector, expires: self.expires };
        let token = service::create_token(&files, &Caller::Operator, &request)?;
        // Only the token goes to standard output, for scripts; the explanation goes to standard error.
        eprintln!(
            "One sensor can use this token within {}. It connects to {address}; if it cannot reach that address, make\n\
             another token with --address. On the device: sentinel enroll TOKEN",
            describe(self.expires)
        );
        print(&format!("{token}\n"))
    }
}

fn describe(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// A reader that closes early, such as `head`, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token was valid "within 1 days".
    #[test]
    fn spans_are_in_the_largest_unit_that_divides_them() {
        for (seconds, text) in [
            (86_400, "1 day"),
            (172_800, "2 days"),
            (3_600, "1 hour"),
            (90 * 60, "90 minutes"),
            (61, "61 seconds"),
            (1, "1 second"),
        ] {
            assert_eq!(describe(Duration::from_secs(seconds)), text);
        }
    }
}
