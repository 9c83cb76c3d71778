//! `sentinel enroll TOKEN`: makes this sensor known to a collector.
//!
//! As root beside a sensor with a user of its own, it becomes that user first: files of the state directory are its, and root
//! never writes where another user may rename.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use sentinel_privilege::account::Account;
use sentinel_uplink::{
    Cipher, Enroll, KeyPair, Limits, PROTOCOL_VERSION, SensorEvent, SensorSession, ToCollector, ToSensor,
    Token,
};
use smol::{Timer, future};

use crate::commands::ctl;
use crate::control::command_socket;
use crate::control::uplink::{cut, flush, is_retryable, queued};
use crate::settings::Settings;
use crate::system::clock::Clock;
use crate::system::connect::connect;
use crate::system::disconnect_reason::DisconnectReason;
use crate::system::keys::{self, Collector};
use crate::system::private_files;
use crate::system::privileges::Target;
use crate::system::process::host_name;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::terminal::output::Output;

/// Bytes read of a token: far more than one has.
const MAX_TOKEN_LEN: u64 = 4_096;

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

/// Enrolls under `name` (the host name if `None`), stores the collector, and tells the sensor that runs here.
pub(crate) fn enroll(token: &TokenSource, name: Option<&str>, settings: &Settings) -> Result<(), Failure> {
    let clock = Clock::start();
    let token = token.read()?;
    become_owner(settings)?;
    let keys = keys::sensor_key(&settings.state_dir)?;
    let host = host_name();
    let name = name.unwrap_or(&host);
    let cipher = settings.uplink_cipher.into();
    let (id, name) = smol::block_on(exchange(&keys, &token, name, cipher, &clock))?;
    let collector = Collector { address: token.address().to_owned(), key: *token.collector() };
    keys::store_collector(&settings.state_dir, &collector)?;
    let mut output = Output::new();
    output.line(|line| write!(line, "enrolled as '{name}' (sensor {id}) at {}", collector.address))?;
    output.flush()?;
    notify(&settings.run_dir);
    Ok(())
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
async fn exchange(
    keys: &KeyPair,
    token: &Token,
    name: &str,
    cipher: Cipher,
    clock: &Clock,
) -> Result<(u32, String), Failure> {
    let failed =
        |reason: DisconnectReason| Failure::new(format!("enrolling at {}: {reason}", token.address()));
    let stream = connect(token.address()).await.map_err(failed)?;
    let mut session = SensorSession::enroll(keys, token, cipher, Limits::SENSOR, clock.uptime())
        .map_err(|error| failed(error.into()))?;
    let mut incoming = [0; 2048];
    loop {
        flush(&stream, &mut session, clock.uptime()).map_err(failed)?;
        let deadline = session.next_deadline();
        let readable = async { stream.readable().await.map_err(DisconnectReason::from) };
        let timer = async {
            Timer::at(clock.instant(deadline)).await;
            Ok(())
        };
        future::or(readable, timer).await.map_err(failed)?;
        let count = match (&mut stream.get_ref()).read(&mut incoming) {
            Ok(0) => {
                return Err(Failure::new(format!(
                    "{} does not accept the token: it was made by another collector, or is used or expired",
                    token.address()
                )));
            }
            Ok(count) => count,
            Err(error) if is_retryable(error.kind()) => 0,
            Err(error) => return Err(failed(error.into())),
        };
        let received = incoming.get(..count).unwrap_or_default();
        if let Some(accepted) = handle(&mut session, received, name, clock).map_err(failed)? {
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
