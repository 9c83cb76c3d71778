//! The control socket: one command on one line, one answer, the end of the stream.
//!
//! The answer begins with the line `ok`, or `error: ` and why. After `packets` a pcapng file follows the line.
//!
//! | line | does |
//! |---|---|
//! | `set-filter EXPRESSION` | captures what matches; an empty expression is everything |
//! | `start`, `stop` | begins and ends capturing; the sensor runs on |
//! | `packets LIMIT EXPRESSION` | gives the newest frames of the packet memory that match |

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use sentinel_capture::write::PcapngWriter;
use sentinel_filter::Target;
use sentinel_units::LinkType;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer, future};

use crate::control::status_socket;
use crate::control::tasks::Shared;
use crate::control::workers;
use crate::terminal::failure::Failure;
use crate::terminal::log;
use crate::worker::packet_memory::FRAME_BYTES;

/// Name of the socket in the run directory.
const SOCKET_FILE: &str = "control.sock";
/// Longest command.
const MAX_LINE_LEN: usize = 2_048;
/// A client that takes longer is dropped.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the control socket of a sensor with this run directory is.
pub(crate) fn path(run_dir: &Path) -> PathBuf {
    run_dir.join(SOCKET_FILE)
}

/// Opens the socket; only our own user may connect.
pub(crate) fn listen(run_dir: &Path) -> Result<UnixListener, Failure> {
    status_socket::listen_at(&path(run_dir))
}

/// Obeys everyone who connects, one after the other.
pub(crate) async fn serve(shared: Rc<Shared>, listener: Async<UnixListener>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            Timer::after(TIMEOUT).await;
            continue;
        };
        let conversation = async {
            let line = read_line(&mut stream).await?;
            let answer = obey(&shared, &line).await;
            stream.write_all(&answer).await
        };
        let time = async {
            Timer::after(TIMEOUT).await;
            Ok(())
        };
        let _client_gone = future::or(conversation, time).await;
    }
}

/// The first line, or what there was of it.
async fn read_line(stream: &mut Async<UnixStream>) -> std::io::Result<String> {
    let (mut line, mut piece) = (Vec::new(), [0; 256]);
    while !line.contains(&b'\n') && line.len() < MAX_LINE_LEN {
        match stream.read(&mut piece).await? {
            0 => break,
            length => line.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Does what the line says and returns the answer.
async fn obey(shared: &Shared, line: &str) -> Vec<u8> {
    let line = line.trim();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let outcome = match word {
        "set-filter" => set_filter(shared, rest).await,
        "start" => start(shared).await,
        "stop" => stop(shared).await,
        "packets" => packets(shared, rest).await,
        _ => Err(format!("unknown command '{word:.40}'")),
    };
    match outcome {
        Ok(body) => [b"ok\n", body.as_slice()].concat(),
        Err(what) => format!("error: {what}\n").into_bytes(),
    }
}

async fn set_filter(shared: &Shared, expression: &str) -> Result<Vec<u8>, String> {
    let snap = shared.settings.borrow().kernel_snap;
    if shared.workers.is_capturing() {
        shared.workers.open(expression, snap).await?;
    } else {
        // Checked now, in force with the next start.
        crate::worker::interface::KernelFilters::new(expression, snap)?;
    }
    expression.clone_into(&mut shared.settings.borrow_mut().filter);
    match expression {
        "" => log::info(format_args!("filter removed by 'sentinel ctl'")),
        _ => log::info(format_args!("filter set by 'sentinel ctl': {expression}")),
    }
    Ok(Vec::new())
}

async fn start(shared: &Shared) -> Result<Vec<u8>, String> {
    if shared.workers.is_capturing() {
        return Err("capturing already".into());
    }
    let (filter, snap) = {
        let settings = shared.settings.borrow();
        (settings.filter.clone(), settings.kernel_snap)
    };
    shared.workers.open(&filter, snap).await?;
    log::info(format_args!("capturing started by 'sentinel ctl'"));
    Ok(Vec::new())
}

async fn stop(shared: &Shared) -> Result<Vec<u8>, String> {
    if !shared.workers.is_capturing() {
        return Err("not capturing".into());
    }
    shared.workers.close().await?;
    log::warn(format_args!("capturing stopped by 'sentinel ctl'; nothing is seen until it is started"));
    Ok(Vec::new())
}

/// `LIMIT EXPRESSION`; a limit of zero is none.
async fn packets(shared: &Shared, rest: &str) -> Result<Vec<u8>, String> {
    if !shared.workers.remembers() {
        return Err("no packets are kept; set max_packets".into());
    }
    let (limit, expression) = rest.split_once(' ').unwrap_or((rest, ""));
    let limit = match limit.parse() {
        Ok(0) => usize::MAX,
        Ok(limit) => limit,
        Err(_) => return Err(format!("limit '{limit:.20}' is not a number")),
    };
    let mut programs = Vec::new();
    for link in [LinkType::ETHERNET, LinkType::RAW] {
        match sentinel_filter::compile_for(Target::Kernel, expression, link, u32::MAX) {
            Ok(program) => programs.push((link, program)),
            Err(_) if link != LinkType::ETHERNET => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let failed = |error: std::io::Error| error.to_string();
    let mut writer = PcapngWriter::new(Vec::new()).map_err(failed)?;
    let mut known: Vec<((u16, LinkType), _)> = Vec::new();
    let mut outcome = Ok(());
    let names = shared.settings.borrow().interface.clone();
    let mut take = |frame: &sentinel_capture::Frame<'_>| -> std::io::Result<()> {
        let place = (frame.interface, frame.link);
        let interface = match known.iter().find(|(known, _)| *known == place) {
            Some((_, interface)) => *interface,
            None => {
                let name = names.get(usize::from(frame.interface)).map_or("?", String::as_str);
                let kept = u32::try_from(FRAME_BYTES).unwrap_or(0);
                let interface = writer.add_interface(name, frame.link, kept)?;
                known.push((place, interface));
                interface
            }
        };
        writer.write(interface, frame)
    };
    let wanted = |frame: &sentinel_capture::Frame<'_>| workers::matches(&programs, frame);
    let write = |frame: &sentinel_capture::Frame<'_>| {
        if outcome.is_ok() {
            outcome = take(frame);
        }
    };
    shared.workers.packets(limit, wanted, write).await?;
    outcome.map_err(failed)?;
    Ok(writer.into_inner())
}
