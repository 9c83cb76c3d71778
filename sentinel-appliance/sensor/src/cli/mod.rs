//! The command line.
//!
//! - `option`: every option, declared once: parsing, help, and the check which command takes it all read that line;
//! - `catalog`: every command;
//! - `arguments`: what was given, checked against both, and typed access to it;
//! - `help`: the pages of `--help`;
//! - `dispatch`: from arguments to what each command is asked to do; `packets`: what those that show packets share.

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

/// Runs the command that the arguments ask for.
///
/// # Errors
/// Why it did not succeed.
pub(crate) fn run() -> Result<(), Failure> {
    match Arguments::parse(Parser::from_env())? {
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
