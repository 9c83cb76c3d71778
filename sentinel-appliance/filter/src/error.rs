//! Errors of an expression: the reason, and the place in the text.

use alloc::boxed::Box;
use core::fmt;

use sentinel_units::LinkType;

use crate::validate::InvalidProgram;

/// An expression that cannot be compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExpressionError {
    /// Character of the expression at which the error is, from 1; one past the last if it ends too early.
    pub column: usize,
    /// Reason why it cannot be compiled.
    pub reason: ExpressionErrorReason,
}

/// Reason of an [`ExpressionError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExpressionErrorReason {
    /// Something else is expected here.
    Expected {
        /// The expected word or value.
        what: &'static str,
        /// The word or sign before it; empty at the beginning.
        after: &'static str,
    },
    /// A word that is not in the language.
    UnknownWord,
    /// A character that is not in the language.
    UnknownCharacter,
    /// A host or network by name: there is no resolver here.
    HostName,
    /// No port, protocol or frame type of that name is known here.
    UnknownName(&'static str),
    /// Not a number, or one above 2^32 - 1.
    Number,
    /// Not an address.
    Address,
    /// A number above the largest of its kind.
    TooLarge {
        /// The quantity.
        what: &'static str,
        /// The largest.
        most: u32,
    },
    /// The address of a network with bits set outside its mask.
    HostBits,
    /// The qualifier does not go with what follows it.
    Mismatch {
        /// The qualifier.
        qualifier: &'static str,
        /// The object that it was applied to.
        to: &'static str,
    },
    /// Packet data of another size than 1, 2 or 4 bytes.
    AccessSize,
    /// A division or remainder by zero.
    DivisionByZero,
    /// A shift by 32 bits or more.
    ShiftTooFar,
    /// A keyword of tcpdump's that is not supported.
    NotSupported(&'static str),
    /// Frames of this link type do not have what is tested.
    NotOnLink {
        /// The header or field that is missing.
        what: &'static str,
        /// The link type.
        link: LinkType,
    },
    /// Known to the kernel only, while it captures, and this program is for files.
    KernelOnly(&'static str),
    /// Parentheses, brackets or arithmetic nested too deep.
    TooDeep,
    /// The program would be longer than the kernel takes.
    TooLong,
    /// The generated program is invalid: a defect of the compiler.
    InvalidProgram(InvalidProgram),
    /// No packet can match (libpcap: "expression rejects all packets").
    RejectsAll,
}

impl ExpressionErrorReason {
    /// Fills in the qualifier of a mismatch, if it is not known yet.
    fn with_qualifier(self, word: &'static str) -> Self {
        match self {
            Self::Mismatch { qualifier: "", to } => Self::Mismatch { qualifier: word, to },
            other => other,
        }
    }
}

/// Result of a step of the parser.
pub(crate) type Parsed<T> = Result<T, ParseError>;

/// Error inside the parser: the reason, and the byte at which it is once that is known. Boxed, so that it
/// takes one word: every step of the parser returns it.
#[derive(Debug)]
pub(crate) struct ParseError(Box<(ExpressionErrorReason, usize)>);

impl ParseError {
    /// Sets the byte of the expression at which the error is.
    pub(crate) fn at(mut self, at: usize) -> Self {
        self.0.1 = at;
        self
    }

    /// See [`ExpressionErrorReason::with_qualifier`].
    pub(crate) fn with_qualifier(mut self, word: &'static str) -> Self {
        self.0.0 = self.0.0.with_qualifier(word);
        self
    }

    /// The reason.
    pub(crate) const fn reason(&self) -> ExpressionErrorReason {
        self.0.0
    }

    /// The error for the caller of the compiler: byte offset to column in characters.
    pub(crate) fn to_expression_error(&self, text: &str) -> ExpressionError {
        let (reason, at) = *self.0;
        let before = text.char_indices().take_while(|(start, _)| *start < at).count();
        ExpressionError { column: before + 1, reason }
    }
}

impl From<ExpressionErrorReason> for ParseError {
    #[cold] // at most once for an expression: the first error ends the parse
    fn from(reason: ExpressionErrorReason) -> Self {
        Self(Box::new((reason, 0)))
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "column {}: {}", self.column, self.reason)
    }
}

impl fmt::Display for ExpressionErrorReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected { what, after: "" } => write!(out, "expected {what}"),
            Self::Expected { what, after } => write!(out, "expected {what} after '{after}'"),
            Self::UnknownWord => {
                out.write_str("unknown word; expected a protocol, 'host', 'net', 'port', ...")
            }
            Self::UnknownCharacter => out.write_str("unexpected character"),
            Self::HostName => out.write_str("expected an address: names of hosts are not looked up"),
            Self::UnknownName(what) => write!(out, "unknown {what}; expected a number or a well-known name"),
            Self::Number => out.write_str("expected a number of at most 32 bits"),
            Self::Address => out.write_str("expected an address: this is not one"),
            Self::TooLarge { what, most } => write!(out, "{what} is more than {most}"),
            Self::HostBits => out.write_str("expected a network: bits are set outside the mask"),
            Self::Mismatch { qualifier, to } => write!(out, "'{qualifier}' does not go with {to}"),
            Self::AccessSize => out.write_str("expected a size of 1, 2 or 4 bytes"),
            Self::DivisionByZero => out.write_str("division by zero"),
            Self::ShiftTooFar => out.write_str("shift by more than 31 bits"),
            Self::NotSupported(what) => write!(out, "'{what}' is not supported"),
            Self::NotOnLink { what, link } => write!(out, "frames of link type {link} have no {what}"),
            Self::KernelOnly(what) => write!(out, "'{what}' is known to the kernel only, not in a file"),
            Self::TooDeep => out.write_str("nested too deep"),
            Self::TooLong => out.write_str("the program would be too long"),
            Self::InvalidProgram(invalid) => write!(out, "filter program: {invalid}"),
            Self::RejectsAll => out.write_str("no packet can match"),
        }
    }
}

impl core::error::Error for ExpressionError {}
