//! The command line. Every setting is a flag and an environment variable.

use std::env::VarError;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};

use crate::log::{Log, printable};
use crate::run::CollectorSettings;
use crate::service::{self, Caller, TokenRequest};
use crate::store::{Files, RetentionLimits, StoreLimits};
use crate::time_text::parse_span;
use crate::watch::WatchOptions;
use crate::{enroll, run, watch};

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
        // Not a flag: other users can read the arguments of a process.
        let key = match std::env::var("SENTINEL_DB_KEY") {
            Ok(key) => Some(key),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => bail!("SENTINEL_DB_KEY is not UTF-8"),
        };
        Ok(Files::locate(&self.data, key.as_deref())?)
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

const KEY_HELP: &str = "The database is encrypted with the key in SENTINEL_DB_KEY (64 hexadecimal digits, or a \
    passphrase), else with DIR/db.key, which is created at the first start. Keep a copy of it: without it the \
    alerts cannot be read.";

#[derive(Args, Debug)]
#[command(after_help = KEY_HELP)]
struct RunArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Address for sensors.
    #[arg(long, env = "SENTINEL_COLLECTOR_LISTEN", value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Address for the page and the API.
    #[arg(
        long,
        env = "SENTINEL_COLLECTOR_HTTP",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    http: SocketAddr,
    /// Allow --http to be an address that other machines reach. There is no log-in: every machine that reaches it
    /// can read every alert.
    #[arg(long, env = "SENTINEL_COLLECTOR_HTTP_ALLOW_REMOTE")]
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

const DEFAULT_LISTEN: &str = "0.0.0.0:4477";

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
    #[arg(long, env = "SENTINEL_COLLECTOR_LISTEN", value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
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
            Command::Run(arguments) => run::run(CollectorSettings {
                files: arguments.store.files()?,
                listen: arguments.listen,
                http: arguments.http,
                http_allow_remote: arguments.http_allow_remote,
                log: open_log(arguments.log.as_deref())?,
                max_connections: usize::try_from(arguments.max_connections).unwrap_or(usize::MAX),
                store_limits: arguments.store_limits(),
            }),
            Command::Enroll(arguments) => arguments.execute(),
            Command::Sensors { action: Some(action), .. } => action.execute(),
            Command::Key { action } => action.execute(),
            Command::Sensors { store, json, action: None } => {
                let sensors = service::stored_sensors(&store.existing_files()?, Caller::Operator)?;
                print(&enroll::listing(&sensors, json))
            }
            Command::Revoke { store, sensor } => {
                let revoked = service::revoke_sensor(&store.existing_files()?, Caller::Operator, &sensor)?;
                print(&format!("revoked {}\n", revoked.name))
            }
            Command::Watch(arguments) => watch::watch(&WatchOptions {
                url: arguments.url,
                sensors: arguments.sensors,
                last: arguments.last,
                colour: io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            }),
        }
    }
}

impl SensorAction {
    fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Acknowledge { store, sensor } => {
                let (name, runs) =
                    service::acknowledge_runs(&store.existing_files()?, Caller::Operator, &sensor, &who())?;
                let runs = if runs == 1 { "1 unclean run".into() } else { format!("{runs} unclean runs") };
                print(&format!("{runs} of {name} acknowledged\n"))
            }
            Self::Rotate { store, sensor } => {
                let sensor = service::rotate_sensor_key(&store.existing_files()?, Caller::Operator, &sensor)?;
                print(&format!(
                    "{} replaces its key when it is connected, from version 3 of the protocol on\n",
                    sensor.name
                ))
            }
        }
    }
}

/// User who runs the command, behind sudo if need be: for the record, not for authorisation.
fn who() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.map_or_else(|| "unknown".into(), |name| printable(&name).chars().take(64).collect())
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
        let token = service::create_token(&files, Caller::Operator, &request)?;
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
