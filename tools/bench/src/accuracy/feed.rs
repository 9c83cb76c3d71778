//! Frames into the program under test and alerts out of it, through pipes: the way of `sentinel read -`, without a file.

use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};

use super::alerts::Raised;
use crate::child;

/// Frame with its time and its length on the wire.
#[derive(Debug)]
pub(crate) struct Frame<'f> {
    /// Microseconds since the Unix epoch.
    pub(crate) at_us: u64,
    pub(crate) bytes: &'f [u8],
    pub(crate) wire_len: u32,
}

/// Home network of every run: the default, and the IPv6 prefix that a household has from its provider, as a sensor on the router
/// knows it from its interface.
const HOME_NET: &str = "home_net=10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fe80::/10 2001:db8:1::/48";
/// Bytes written to the pipe at once.
const BUFFER: usize = 1 << 20;

/// Process that reads frames, while a thread collects its alerts.
pub(crate) struct Feed {
    process: Child,
    input: BufWriter<std::process::ChildStdin>,
    output: thread::JoinHandle<Result<Vec<Raised>>>,
    errors: thread::JoinHandle<String>,
    pub(crate) frames: u64,
}

impl Feed {
    /// Starts `sentinel read - --alerts` with default settings.
    pub(crate) fn start(sentinel: &Path) -> Result<Self> {
        let mut command = child::sentinel(sentinel);
        command.args(["--set", HOME_NET, "read", "-", "--alerts"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("starting {}", sentinel.display()))?;
        let (input, output, errors) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (input, output, mut errors) =
            (input.context("no stdin")?, output.context("no stdout")?, errors.context("no stderr")?);
        let output = thread::spawn(move || {
            BufReader::new(output).lines().map(|line| Raised::parse(&line?)).collect::<Result<Vec<_>>>()
        });
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _partial_is_enough = errors.read_to_string(&mut text);
            text
        });
        let mut input = BufWriter::with_capacity(BUFFER, input);
        // Little-endian pcap with microseconds, version 2.4, Ethernet.
        for field in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 1_u32] {
            input.write_all(&field.to_le_bytes())?;
        }
        Ok(Self { process, input, output, errors, frames: 0 })
    }

    /// Gives it one frame. A program that ended early is reported by [`Feed::finish`].
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) -> Result<()> {
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let captured = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        let mut header = [0; 16];
        let fields = [
            number(frame.at_us / 1_000_000),
            number(frame.at_us % 1_000_000),
            captured,
            frame.wire_len.max(captured),
        ];
        for (place, field) in header.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        self.frames += 1;
        let written = self.input.write_all(&header).and_then(|()| self.input.write_all(frame.bytes));
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// Ends the input and returns the alerts, in order.
    pub(crate) fn finish(self) -> Result<Vec<Raised>> {
        let Self { mut process, input, output, errors, .. } = self;
        drop(input.into_inner());
        let status = process.wait()?;
        let errors = errors.join().unwrap_or_default();
        ensure!(status.success(), "sentinel read: {status}: {}", errors.trim());
        output.join().map_err(|_| anyhow::anyhow!("the reader of alerts ended"))?
    }
}
