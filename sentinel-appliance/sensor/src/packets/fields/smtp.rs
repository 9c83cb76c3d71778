//! SMTP: the greeting of a server, and the commands of a client.

use std::fmt::{Result, Write};

use sentinel_alert::json;
use sentinel_dissect::application::Ports;
use sentinel_dissect::application::smtp::{Command, Commands, Greeting, PROTOCOL};
use sentinel_track::reassembly::Message;

use super::{Fields, Payload, Reading, RecordWriter, text};
use crate::terminal::failure::Failure;

/// Most commands in a line; behind them stands `...`.
const MAX_LINE_COMMANDS: usize = 8;

/// The message of one side.
#[derive(Debug)]
pub(crate) enum Smtp<'p> {
    Greeting(Greeting<'p>),
    Commands(Commands<'p>),
}

impl<'p> Smtp<'p> {
    fn parse(bytes: &'p [u8], ports: Ports) -> Option<Self> {
        if let Ok(greeting) = Greeting::parse(bytes, ports) {
            return Some(Self::Greeting(greeting));
        }
        Commands::parse(bytes, ports).ok().map(Self::Commands)
    }
}

impl<'p> Fields<'p> for Smtp<'p> {
    fn of_segment(payload: &Payload<'p>) -> Reading<Self> {
        Self::parse(payload.bytes, payload.ports).map_or(Reading::OtherProtocol, Reading::Fields)
    }

    fn title(&self) -> &'static str {
        PROTOCOL.title
    }

    fn line(&self, out: &mut String) -> Result {
        match self {
            Self::Greeting(greeting) => {
                out.push_str("220 ");
                text::printable(greeting.banner, out);
            }
            Self::Commands(commands) => write_commands(commands.clone(), out),
        }
        Ok(())
    }

    fn json(&self, out: &mut String) -> Result {
        match self {
            Self::Greeting(greeting) => {
                out.push_str(",\"banner\":");
                text::optional_json(Some(greeting.banner), out)
            }
            Self::Commands(commands) => write_fields(commands, out),
        }
    }

    fn stream_records(
        stream: &Message<'_>,
        records: &mut RecordWriter<'_>,
    ) -> std::result::Result<bool, Failure> {
        let Some(smtp) = Smtp::parse(stream.bytes, (stream.source.port, stream.destination.port)) else {
            return Ok(false);
        };
        records.write(PROTOCOL.service.name, |line| smtp.json(line))?;
        Ok(true)
    }
}

fn write_commands(commands: Commands<'_>, out: &mut String) {
    let shown = commands.filter_map(|command| match command {
        Command::Ehlo(domain) => Some(("EHLO ", domain, "")),
        Command::Helo(domain) => Some(("HELO ", domain, "")),
        Command::MailFrom(path) => Some(("MAIL FROM:<", path, ">")),
        Command::RcptTo(path) => Some(("RCPT TO:<", path, ">")),
        Command::StartTls => Some(("STARTTLS", &[][..], "")),
        Command::Other => None,
    });
    for (index, (verb, argument, end)) in shown.enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        if index == MAX_LINE_COMMANDS {
            out.push_str("...");
            return;
        }
        out.push_str(verb);
        text::printable(argument, out);
        out.push_str(end);
    }
}

/// The fields of commands that were sent together, each behind a comma: of a kind that may come once the first.
fn write_fields(commands: &Commands<'_>, line: &mut String) -> Result {
    let first = |select: fn(Command<'_>) -> Option<&[u8]>| commands.clone().find_map(select);
    let ehlo = first(|command| if let Command::Ehlo(domain) = command { Some(domain) } else { None });
    let helo = first(|command| if let Command::Helo(domain) = command { Some(domain) } else { None });
    let mail_from = first(|command| if let Command::MailFrom(path) = command { Some(path) } else { None });
    for (name, value) in [("ehlo", ehlo), ("helo", helo), ("mail_from", mail_from)] {
        write!(line, ",\"{name}\":")?;
        text::optional_json(value, line)?;
    }
    line.push_str(",\"rcpt_to\":[");
    let recipients = commands.clone().filter_map(|command| match command {
        Command::RcptTo(path) => Some(path),
        _ => None,
    });
    for (index, recipient) in recipients.enumerate() {
        line.push_str(if index == 0 { "" } else { "," });
        json::string(&String::from_utf8_lossy(recipient), line)?;
    }
    let starttls = commands.clone().any(|command| command == Command::StartTls);
    write!(line, "],\"starttls\":{starttls}")
}
