//! Failures of commands, with their message and exit code.

use std::ffi::OsStr;
use std::fmt;
use std::process::ExitCode;

use crate::terminal::log;

/// Failure of a command: a message that says what was wrong and what would be right. One word long, because every function
/// above the packet path returns it.
#[derive(Debug)]
pub(crate) struct Failure(Box<Reason>);

/// Exit code of a sensor that ended because a worker hangs or has ended: it is to be started again.
pub(crate) const FAULT_EXIT_CODE: u8 = 3;

#[derive(Debug)]
enum Reason {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// Anything else: exit code 1.
    Other(String),
    /// The watchdog has found a fault, which is logged already: [`FAULT_EXIT_CODE`].
    Fault(String),
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

    /// The watchdog has found a fault, which is logged already.
    pub(crate) fn fault(found: &dyn fmt::Display) -> Self {
        Self(Box::new(Reason::Fault(found.to_string())))
    }

    /// Returns true if the watchdog has found a fault.
    pub(crate) fn is_fault(&self) -> bool {
        matches!(*self.0, Reason::Fault(_))
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
            Reason::Fault(_) => ExitCode::from(FAULT_EXIT_CODE),
            Reason::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Reason::Usage(what) | Reason::Other(what) | Reason::Fault(what) => out.write_str(what),
            Reason::OutputClosed => out.write_str("the reader of the output is gone"),
        }
    }
}

impl From<lexopt::Error> for Failure {
    /// Not with the texts of the package, which print arguments with `{:?}`: the tables of Unicode behind it take 3 KiB.
    fn from(error: lexopt::Error) -> Self {
        use lexopt::Error;
        let shown = |argument: &OsStr| argument.to_string_lossy().escape_default().to_string();
        Self::usage(match error {
            Error::MissingValue { option: None } => "missing argument".into(),
            Error::MissingValue { option: Some(option) } => format!("missing argument for option '{option}'"),
            Error::UnexpectedOption(option) => format!("invalid option '{option}'"),
            Error::UnexpectedArgument(value) => format!("unexpected argument '{}'", shown(&value)),
            Error::UnexpectedValue { option, value } => {
                format!("unexpected argument for option '{option}': '{}'", shown(&value))
            }
            Error::ParsingFailed { value, error } => {
                format!("cannot parse argument '{}': {error}", value.escape_default())
            }
            Error::NonUnicodeValue(value) => format!("argument is not UTF-8: '{}'", shown(&value)),
            Error::Custom(error) => error.to_string(),
        })
    }
}
