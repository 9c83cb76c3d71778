//! Why a command ends without success.

use std::fmt;
use std::process::ExitCode;

use crate::message;

/// A reason for people: what was wrong, and what would be right.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Other(String),
    /// The reader of our output has gone (`sentinel read x | head`): no message, success.
    OutputClosed,
}

impl Failure {
    /// A failure with context before its cause.
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self::Other(what.to_string())
    }

    /// Writing to standard output failed.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Other(format!("standard output: {error}"))
        }
    }

    /// Prints the reason on standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(what) => {
                message::error(format_args!("{what}\nTry 'sentinel --help'."));
                ExitCode::from(2)
            }
            Self::Other(what) => {
                message::error(format_args!("{what}"));
                ExitCode::FAILURE
            }
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) | Self::Other(what) => out.write_str(what),
            Self::OutputClosed => out.write_str("nobody reads the output"),
        }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}
