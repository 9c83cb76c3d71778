//! `sentinel enroll TOKEN`: makes this sensor known to a collector.
//!
//! As root beside a sensor with a user of its own, it becomes that user first: files of the state directory are its, and root
//! never writes where another user may rename.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;

use sentinel_privilege::account::Account;
use sentinel_uplink::{
    Cipher, Enroll, KeyPair, Limits, PROTOCOL_VERSION, RejectReason, SensorEvent, SensorSession, ToCollector,
    ToSensor, Token,
};
use smol::{Timer, future};

use crate::commands::ctl;
use crate::control::command_socket;
use crate::control::uplink::{cut, flush, is_retryable, queued};
use crate::settings::Settings;
use crate::system::clock::Clock;
use crate::system::connect::connect;
use crate::system::disconnect_reason::DisconnectReason;
use crate::system::executor::block_on;
use crate::system::keyring::Keyring;
use crate::system::keys::{self, Collector};
use crate::system::private_files;
use crate::system::privileges::Target;
use crate::system::process::host_name;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::terminal::output::Output;

/// Bytes read of a token: far more than one has.
const MAX_TOKEN_LEN: u64 = 4_096;

/// Longest name of a sensor at a collector, in bytes.
const MAX_NAME_LEN: usize = 48;

/// Source of the token. Arguments are in the list of processes, which every user of the machine can read.
#[derive(Debug)]
pub(crate) enum TokenSource {
    Argument(String),
    File(PathBuf),
    StandardInput,
}

impl TokenSource {
    fn read(&self) -> Result<Token, Failure> {
        let mut text = String::new();
        let from = |name: &str, error: std::io::Error| Failure::new(format!("{name}: {error}"));
        match self {
            Self::Argument(token) => text.push_str(token),
            Self::File(path) => {
                let at = |error| from(&path.display().to_string(), error);
                let file = std::fs::File::open(path).map_err(at)?;
                file.take(MAX_TOKEN_LEN).read_to_string(&mut text).map_err(at)?;
            }
            Self::StandardInput => {
                let input = std::io::stdin().lock().take(MAX_TOKEN_LEN).read_to_string(&mut text);
                input.map_err(|error| from("standard input", error))?;
            }
        }
        text.trim().parse().map_err(|error| Failure::new(format!("token: {error}")))
    }
}

/// Enrolls under `name` (the host name if `None`), stores the collector, and tells the sensor that runs here. With `new_key`,
/// and if the collector refuses the key because it was copied, with another key.
pub(crate) fn enroll(
    token: &TokenSource,
    name: Option<&str>,
    new_key: bool,
    settings: &Settings,
) -> Result<(), Failure> {
    let clock = Clock::start();
    let token = token.read()?;
    let host = host_name();
    let name = checked_name(name, &host)?;
    become_owner(settings)?;
    let mut ring = Keyring::load(&settings.state_dir)?;
    let cipher = settings.uplink_cipher.into();
    if new_key {
        ring.make_next()?;
    }
    // The new key is on flash before the collector knows it, and stays there until it does: after a crash the same command
    // presents the same key, which the token admits again.
    let keys = if new_key { ring.next.as_ref().unwrap_or(&ring.own) } else { &ring.own };
    let mut outcome = exchange(keys, &token, name, cipher, &clock);
    let mut is_replaced = new_key;
    if let Err(EnrollFailure::KeyReplaced) = outcome {
        ring.make_next()?;
        is_replaced = true;
        let keys = ring.next.as_ref().unwrap_or(&ring.own);
        outcome = exchange(keys, &token, name, cipher, &clock);
    }
    let (id, name) = outcome.map_err(|failure| failure.at(token.address()))?;
    if is_replaced {
        ring.enroll_next()?;
    }
    let collector = Collector { address: token.address().to_owned(), key: *token.collector() };
    ring.unpin_collector()?;
    keys::store_collector(&settings.state_dir, &collector)?;
    let mut output = Output::new();
    output.line(|line| write!(line, "enrolled as '{name}' (sensor {id}) at {}", collector.address))?;
    output.flush()?;
    notify(&settings.run_dir);
    Ok(())
}

/// Makes the key that is to replace the key of this sensor, and tells the sensor that runs here.
pub(crate) fn replace_key(settings: &Settings) -> Result<(), Failure> {
    become_owner(settings)?;
    if keys::collector(&settings.state_dir)?.is_none() {
        return Err(Failure::new("this sensor is not enrolled; run 'sentinel enroll TOKEN'"));
    }
    let key = Keyring::load(&settings.state_dir)?.make_next()?;
    let mut output = Output::new();
    output.line(|line| {
        write!(
            line,
            "new key {key}: it replaces the old one once the collector has accepted it, see 'sentinel status'"
        )
    })?;
    output.flush()?;
    notify(&settings.run_dir);
    Ok(())
}

/// Name under which the sensor enrolls. A name that is a number could be taken for the number of another sensor, and one that
/// begins with a hyphen for an option, by the commands of the collector.
fn checked_name<'n>(name: Option<&'n str>, host: &'n str) -> Result<&'n str, Failure> {
    let Some(given) = name else {
        // The collector replaces characters of a host name; what it cannot mend is better known before the token is used.
        return if host.bytes().all(|byte| byte.is_ascii_digit()) {
            Err(Failure::usage(format!("enroll: the host name '{host}' is a number; give --name NAME")))
        } else {
            Ok(host)
        };
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_NAME_LEN).contains(&given.len())
        && given.bytes().all(is_allowed)
        && !given.starts_with('-')
        && !given.bytes().all(|byte| byte.is_ascii_digit())
    {
        Ok(given)
    } else {
        Err(Failure::usage(format!(
            "enroll: --name '{}': {}",
            given.escape_default(),
            RejectReason::NameNotAllowed
        )))
    }
}

/// Reason why an enrollment failed.
enum EnrollFailure {
    /// The collector wants another key of this sensor.
    KeyReplaced,
    /// The collector closed the connection.
    Token,
    Other(DisconnectReason),
}

impl EnrollFailure {
    fn at(self, address: &str) -> Failure {
        Failure::new(match self {
            Self::KeyReplaced => format!("enrolling at {address}: {}", RejectReason::KeyReplaced),
            Self::Token => {
                format!(
                    "{address} does not accept the token: it was made by another collector, or is used or expired"
                )
            }
            Self::Other(reason) => format!("enrolling at {address}: {reason}"),
        })
    }
}

impl From<DisconnectReason> for EnrollFailure {
    fn from(reason: DisconnectReason) -> Self {
        match reason {
            DisconnectReason::Rejected(RejectReason::KeyReplaced) => Self::KeyReplaced,
            other => Self::Other(other),
        }
    }
}

/// Prepares the state directory, and takes the user of its files, for good.
fn become_owner(settings: &Settings) -> Result<(), Failure> {
    let target = Target::of(settings).account;
    let owner = private_files::owner_of(&settings.state_dir)?.filter(|_| Account::current().is_root());
    let account = owner.unwrap_or(target);
    private_files::prepare_directory(&settings.state_dir, account)?;
    if account == Account::current() {
        return Ok(());
    }
    account.assume().map_err(|error| Failure::new(format!("becoming user {account}: {error}")))
}

/// Tells the running sensor. Without one there is nobody to tell: it reads the enrollment when it starts.
fn notify(run_dir: &Path) {
    // Any other error comes again with the command, and is reported then.
    let attempt = UnixStream::connect(command_socket::path(run_dir)).map_err(|error| error.kind());
    if matches!(attempt, Err(ErrorKind::NotFound | ErrorKind::ConnectionRefused)) {
        return;
    }
    if let Err(failure) = ctl::ctl(&ctl::Request::Enrolled, run_dir) {
        log::warn(format_args!(
            "the running sensor was not told: {failure}; restart it if it does not connect"
        ));
    }
}

/// Sends the enrollment and waits for the answer; gives number and name of the sensor.
fn exchange(
    keys: &KeyPair,
    token: &Token,
    name: &str,
    cipher: Cipher,
    clock: &Clock,
) -> Result<(u32, String), EnrollFailure> {
    let mut outcome = Err(EnrollFailure::Token);
    block_on(pin!(async { outcome = request(keys, token, name, cipher, clock).await }));
    outcome
}

async fn request(
    keys: &KeyPair,
    token: &Token,
    name: &str,
    cipher: Cipher,
    clock: &Clock,
) -> Result<(u32, String), EnrollFailure> {
    let stream = connect(token.address()).await?;
    let mut session = SensorSession::enroll(keys, token, cipher, Limits::SENSOR, clock.uptime())
        .map_err(DisconnectReason::from)?;
    let mut incoming = [0; 2048];
    loop {
        flush(&stream, &mut session, clock.uptime())?;
        let deadline = session.next_deadline();
        let readable = async { stream.readable().await.map_err(DisconnectReason::from) };
        let timer = async {
            Timer::at(clock.instant(deadline)).await;
            Ok(())
        };
        future::or(readable, timer).await?;
        let count = match (&mut stream.get_ref()).read(&mut incoming) {
            Ok(0) => return Err(EnrollFailure::Token),
            Ok(count) => count,
            Err(error) if is_retryable(error.kind()) => 0,
            Err(error) => return Err(DisconnectReason::from(error).into()),
        };
        let received = incoming.get(..count).unwrap_or_default();
        if let Some(accepted) = handle(&mut session, received, name, clock)? {
            return Ok(accepted);
        }
    }
}

/// Feeds received bytes to the session, and sends the enrollment once it is established; gives number and name of the sensor
/// once the collector has accepted it.
fn handle(
    session: &mut SensorSession,
    mut received: &[u8],
    name: &str,
    clock: &Clock,
) -> Result<Option<(u32, String)>, DisconnectReason> {
    loop {
        let now = clock.uptime();
        match session.poll(now)? {
            SensorEvent::Established => {
                let request = Enroll {
                    protocol: PROTOCOL_VERSION,
                    name: cut(name, 64),
                    software: env!("CARGO_PKG_VERSION"),
                };
                queued(session.send(&ToCollector::Enroll(request), now))?;
            }
            SensorEvent::Message(ToSensor::Welcome(welcome)) => {
                return Ok(Some((welcome.sensor_id, welcome.name.to_owned())));
            }
            SensorEvent::Message(ToSensor::Rejected(reason)) => {
                return Err(DisconnectReason::Rejected(reason));
            }
            SensorEvent::Message(_) => {}
            // No more events: feed the next frame, until all bytes are used.
            _ if received.is_empty() => return Ok(None),
            _ => {
                let used = session.receive(received)?;
                received = received.get(used..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_commands_would_misread_are_refused() {
        let name = |name| checked_name(Some(name), "router").map_err(|failure| failure.to_string());
        let (longest, longer) = ("n".repeat(48), "n".repeat(49));
        for good in ["a", "branch-7", "7b", "0x7", "1.2", &longest] {
            assert_eq!(name(good), Ok(good));
        }
        for wrong in ["", "7", "0042", "-x", "--json", "a b", "a\nb", "k\u{f6}ln", &longer] {
            let text = name(wrong).unwrap_err();
            assert!(
                text.contains(&format!("'{}'", wrong.escape_default())) && text.contains("is not a number"),
                "{text}"
            );
        }
        assert_eq!(checked_name(None, "router").ok(), Some("router"));
        assert!(checked_name(None, "1234").unwrap_err().to_string().contains("give --name"));
    }
}
