//! Failures of commands, with their message and exit code.

use std::fmt;
use std::process::ExitCode;

use crate::terminal::log;

/// Failure of a command: a message that says what was wrong and what would be right. One word long, because every function
/// above the packet path returns it.
#[derive(Debug)]
pub(crate) struct Failure(Box<Reason>);

#[derive(Debug)]
enum Reason {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Other(String),
    /// The reader of standard output has closed it (`sentinel read x | head`): no message, exit code 0.
    OutputClosed,
}

impl Failure {
    /// The command line is wrong.
    #[cold]
    pub(crate) fn usage(what: String) -> Self {
        Self(Box::new(Reason::Usage(what)))
    }

    /// The command line is wrong, for the reason `cause`.
    #[cold]
    pub(crate) fn bad_usage(cause: impl fmt::Display) -> Self {
        Self::usage(cause.to_string())
    }

    /// Anything else is wrong.
    #[cold]
    pub(crate) fn other(what: String) -> Self {
        Self(Box::new(Reason::Other(what)))
    }

    /// Any other failure; `what` has the context before its cause.
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self::other(what.to_string())
    }

    /// The reader of standard output has closed it.
    pub(crate) fn output_closed() -> Self {
        Self(Box::new(Reason::OutputClosed))
    }

    /// Writing to standard output failed.
    #[cold]
    pub(crate) fn output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::output_closed()
        } else {
            Self::other(format!("standard output: {error}"))
        }
    }

    /// Prints the reason on standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match *self.0 {
            Reason::Usage(what) => {
                log::error(format_args!("{what}\nTry 'sentinel --help'."));
                ExitCode::from(2)
            }
            Reason::Other(what) => {
                log::error(format_args!("{what}"));
                ExitCode::FAILURE
            }
            Reason::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Reason::Usage(what) | Reason::Other(what) => out.write_str(what),
            Reason::OutputClosed => out.write_str("the reader of the output is gone"),
        }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(error.to_string())
    }
}
