//! Control socket: one command on one line, one answer, the end of the stream.
//!
//! The answer begins with the line `ok`, or `error: ` and the reason. After `packets` a pcapng file follows the line.
//!
//! | line | effect |
//! |---|---|
//! | `set-filter EXPRESSION` | captures frames that match, instead of those that the setting `filter` matches, also after a reload; an empty expression returns to the setting |
//! | `start`, `stop` | starts and stops capturing; the sensor runs on |
//! | `enrolled` | reads the enrollment again and connects anew, if the uplink is enabled |
//! | `packets LIMIT EXPRESSION` | returns the newest frames of the packet memory that match |

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use sentinel_capture::Frame;
use sentinel_capture::write::{InterfaceId, PcapngWriter};
use sentinel_filter::{ExpressionError, Target};
use sentinel_units::LinkType;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Task, Timer, future};

use crate::control::state::Shared;
use crate::control::workers::{self, CommandError};
use crate::system::executor::spawn;
use crate::terminal::log;
use crate::worker::kernel_filters::{FilterError, KernelFilters};
use crate::worker::packet_memory::FRAME_BYTES;

/// Name of the socket in the run directory.
const SOCKET_FILE: &str = "control.sock";
/// Longest command in bytes.
const MAX_LINE_LEN: usize = 2_048;
/// Limit of the arrival of a command.
const LINE_TIMEOUT: Duration = Duration::from_secs(1);
/// Limit of the sending of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Clients whose command has not arrived; the oldest is dropped for one more.
const MAX_WAITING: usize = 8;
/// Commands that are executed or answered at a time: each may hold a copy of the packet memory.
const MAX_EXECUTING: usize = 4;

/// Path of the control socket of a sensor with this run directory.
pub(crate) fn path(run_dir: &Path) -> PathBuf {
    run_dir.join(SOCKET_FILE)
}

/// Serves every connection in a task of its own, so that a client that sends half a command or reads no answer holds up nobody.
pub(crate) async fn serve(
    shared: Rc<Shared>,
    listener: Async<UnixListener>,
    executor: &'static LocalExecutor<'static>,
) {
    let executing = Rc::new(Cell::new(0));
    let mut waiting: VecDeque<Task<()>> = VecDeque::new();
    loop {
        // An error of accept, such as too many open files, stays for a while: the pause keeps this loop from spinning.
        let Ok((stream, _)) = listener.accept().await else {
            Timer::after(LINE_TIMEOUT).await;
            continue;
        };
        waiting.retain(|client| !client.is_finished());
        if waiting.len() >= MAX_WAITING {
            // The oldest: a command that was sent at once has been read long ago.
            drop(waiting.pop_front());
            increment(&shared.local_clients.too_many);
        }
        let client = read_command(Rc::clone(&shared), stream, executor, Rc::clone(&executing));
        waiting.push_back(spawn(executor, Box::pin(client)));
    }
}

/// Reads the command and starts its execution. May be dropped at any point.
async fn read_command(
    shared: Rc<Shared>,
    mut stream: Async<UnixStream>,
    executor: &'static LocalExecutor<'static>,
    executing: Rc<Cell<usize>>,
) {
    let timeout = async {
        Timer::after(LINE_TIMEOUT).await;
        Err(ErrorKind::TimedOut.into())
    };
    match future::or(read_line(&mut stream), timeout).await {
        Ok(line) => spawn(executor, Box::pin(answer(shared, stream, line, executing))).detach(),
        Err(error) if error.kind() == ErrorKind::TimedOut => increment(&shared.local_clients.too_slow),
        Err(_client_gone) => {}
    }
}

/// Executes the command and sends the answer. Execution is never cut off, because a filter that is half replaced refuses every
/// frame; the commands to the workers have timeouts of their own.
async fn answer(shared: Rc<Shared>, mut stream: Async<UnixStream>, line: String, executing: Rc<Cell<usize>>) {
    // Refused ones are counted as well: their answer is sent in the same way.
    executing.set(executing.get() + 1);
    let answer = if executing.get() > MAX_EXECUTING {
        increment(&shared.local_clients.too_many);
        b"error: too many commands at once\n".to_vec()
    } else {
        execute(&shared, &line).await
    };
    let timeout = async {
        Timer::after(ANSWER_TIMEOUT).await;
        increment(&shared.local_clients.too_slow);
        Ok(())
    };
    let _client_gone = future::or(stream.write_all(&answer), timeout).await;
    executing.set(executing.get().saturating_sub(1));
}

fn increment(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// Reads the first line, or the bytes up to the end of the stream or [`MAX_LINE_LEN`].
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

/// Executes the command of a line; gives the answer.
async fn execute(shared: &Shared, line: &str) -> Vec<u8> {
    let line = line.trim();
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    let argument = argument.trim();
    let outcome = match command {
        "set-filter" => set_filter(shared, argument).await,
        "start" => start(shared).await,
        "stop" => stop(shared).await,
        "enrolled" => shared.enrolled().map(|()| Vec::new()).map_err(RequestError::Enrollment),
        "packets" => packets(shared, argument).await,
        _ => Err(RequestError::Unknown(command.to_owned())),
    };
    match outcome {
        Ok(body) => [b"ok\n", body.as_slice()].concat(),
        Err(error) => format!("error: {error}\n").into_bytes(),
    }
}

/// Reason why a command was not executed.
#[derive(Debug)]
enum RequestError {
    /// There is no such command.
    Unknown(String),
    /// `start` while capturing.
    AlreadyCapturing,
    /// `stop` while not capturing.
    NotCapturing,
    /// The setting `max_packets` is 0.
    NoPacketMemory,
    /// The limit of `packets` is not a number.
    Limit(String),
    /// The expression of `packets` is wrong.
    Expression(ExpressionError),
    /// The filter of `set-filter` is wrong.
    Filter(FilterError),
    /// The enrollment cannot be read.
    Enrollment(String),
    /// The workers did not execute it.
    Workers(CommandError),
    /// The capture file was not written.
    Write(std::io::Error),
}

impl fmt::Display for RequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enrollment(problem) => out.write_str(problem),
            Self::Unknown(command) => write!(out, "unknown command '{command:.40}'"),
            Self::AlreadyCapturing => out.write_str("capturing already"),
            Self::NotCapturing => out.write_str("not capturing"),
            Self::NoPacketMemory => out.write_str("no packets are kept; set max_packets"),
            Self::Limit(limit) => write!(out, "limit '{limit:.20}' is not a number"),
            Self::Expression(error) => error.fmt(out),
            Self::Filter(error) => error.fmt(out),
            Self::Workers(error) => error.fmt(out),
            Self::Write(error) => error.fmt(out),
        }
    }
}

impl From<CommandError> for RequestError {
    fn from(error: CommandError) -> Self {
        Self::Workers(error)
    }
}

async fn set_filter(shared: &Shared, expression: &str) -> Result<Vec<u8>, RequestError> {
    let new = Some(expression.to_owned()).filter(|expression| !expression.is_empty());
    let (in_settings, snap) = {
        let settings = shared.settings.borrow();
        (settings.filter.clone(), settings.kernel_snap)
    };
    let filter = new.clone().unwrap_or(in_settings);
    if shared.workers.is_capturing() {
        shared.workers.open(&filter, snap).await?;
    } else {
        // Checked now, attached at the next start.
        KernelFilters::new(&filter, snap).map_err(RequestError::Filter)?;
    }
    // After the workers have it: `start` attaches this filter again, and must not find one that was refused.
    match &new {
        None if filter.is_empty() => log::info(format_args!("filter removed by 'sentinel ctl'")),
        None => log::info(format_args!("filter reset by 'sentinel ctl' to that of the settings: {filter}")),
        Some(_) => log::info(format_args!("filter set by 'sentinel ctl': {filter}")),
    }
    shared.filter_override.replace(new);
    Ok(Vec::new())
}

async fn start(shared: &Shared) -> Result<Vec<u8>, RequestError> {
    if shared.workers.is_capturing() {
        return Err(RequestError::AlreadyCapturing);
    }
    // Copied out, because no borrow may be held across the await below.
    let (filter, snap) = (shared.filter(), shared.settings.borrow().kernel_snap);
    shared.workers.open(&filter, snap).await?;
    log::info(format_args!("capturing started by 'sentinel ctl'"));
    Ok(Vec::new())
}

async fn stop(shared: &Shared) -> Result<Vec<u8>, RequestError> {
    if !shared.workers.is_capturing() {
        return Err(RequestError::NotCapturing);
    }
    shared.workers.close().await?;
    log::warn(format_args!("capturing stopped by 'sentinel ctl'; no frame is analysed until it is started"));
    Ok(Vec::new())
}

/// `LIMIT EXPRESSION`; a limit of zero is none.
async fn packets(shared: &Shared, argument: &str) -> Result<Vec<u8>, RequestError> {
    if !shared.workers.keeps_packets() {
        return Err(RequestError::NoPacketMemory);
    }
    let (limit, expression) = argument.split_once(' ').unwrap_or((argument, ""));
    let limit = match limit.parse() {
        Ok(0) => usize::MAX,
        Ok(limit) => limit,
        Err(_) => return Err(RequestError::Limit(limit.to_owned())),
    };
    // Compiled before the workers copy their packets: a wrong expression costs them nothing.
    let mut programs = Vec::new();
    for link in [LinkType::ETHERNET, LinkType::RAW] {
        match sentinel_filter::compile_for(Target::Kernel, expression, link, u32::MAX) {
            Ok(program) => programs.push((link, program)),
            // Some expressions make sense on Ethernet only; then no frame matches on other links.
            Err(_) if link != LinkType::ETHERNET => {}
            Err(error) => return Err(RequestError::Expression(error)),
        }
    }
    let mut file =
        PacketFile::new(shared.settings.borrow().interface.clone()).map_err(RequestError::Write)?;
    let mut outcome = Ok(());
    let write = |frame: &Frame<'_>| {
        if outcome.is_ok() {
            outcome = file.write(frame);
        }
    };
    shared.workers.packets(limit, |frame| workers::matches(&programs, frame), write).await?;
    outcome.map_err(RequestError::Write)?;
    Ok(file.writer.into_inner())
}

/// Capture file in memory, with a description of each interface before its first frame.
struct PacketFile {
    writer: PcapngWriter<Vec<u8>>,
    described: Vec<((u16, LinkType), InterfaceId)>,
    names: Vec<String>,
}

impl PacketFile {
    fn new(names: Vec<String>) -> std::io::Result<Self> {
        Ok(Self { writer: PcapngWriter::new(Vec::new())?, described: Vec::new(), names })
    }

    fn write(&mut self, frame: &Frame<'_>) -> std::io::Result<()> {
        let key = (frame.interface, frame.link);
        let interface = match self.described.iter().find(|(known, _)| *known == key) {
            Some((_, interface)) => *interface,
            None => {
                let name = self.names.get(usize::from(frame.interface)).map_or("?", String::as_str);
                let snap_bytes = u32::try_from(FRAME_BYTES).unwrap_or(0);
                let interface = self.writer.add_interface(name, frame.link, snap_bytes)?;
                self.described.push((key, interface));
                interface
            }
        };
        self.writer.write(interface, frame)
    }
}
