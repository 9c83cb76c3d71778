//! Command line: argument vector to a typed request.
//!
//! - `option`: table of the options, read by the parser, the help, and the check which command takes an option;
//! - `catalog`: table of the commands;
//! - `arguments`: words and options that were given, checked against both tables;
//! - `help`: pages of `--help`;
//! - `dispatch`: arguments to the request of each command; `packet_options`: options that `read`, `capture`, `replay` share.

mod arguments;
mod catalog;
mod dispatch;
mod help;
mod option;
mod packet_options;

use lexopt::Parser;

use crate::terminal::failure::Failure;
use crate::terminal::output::Output;
use arguments::{Arguments, Invocation};
use catalog::COMMANDS;

/// Runs the command of the command line.
///
/// # Errors
/// The command line is wrong, or the command failed.
pub(crate) fn run() -> Result<(), Failure> {
    match Arguments::parse(Parser::from_env(), COMMANDS)? {
        Invocation::Help(command) => print(&help::page(command)),
        Invocation::Version => print(&format!("sentinel {}", env!("CARGO_PKG_VERSION"))),
        Invocation::Command(command, arguments) => (command.run)(&arguments),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut output = Output::new();
    output.line(|line| {
        line.push_str(text.trim_end());
        Ok(())
    })?;
    output.flush()
}
