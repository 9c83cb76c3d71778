//! Kernel filters: classic BPF programs that the rings run, one for each link type.

use std::fmt;

use sentinel_filter::{ExpressionError, Instruction, InvalidProgram, Program, Target, code, content_snap};
use sentinel_units::LinkType;

use crate::settings::KernelSnap;

/// Program that refuses every frame.
pub(crate) const REFUSE_ALL: [Instruction; 1] = [Instruction::plain(code::RET_K, 0)];
/// Link types that a ring can have.
const LINKS: [LinkType; 2] = [LinkType::ETHERNET, LinkType::RAW];

/// Reason why a filter cannot be compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FilterError {
    /// The expression is wrong.
    Expression(ExpressionError),
    /// The expression and the content snap do not fit into one program.
    Combined(InvalidProgram),
}

impl fmt::Display for FilterError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression(error) => error.fmt(out),
            Self::Combined(error) => write!(out, "{error}; a shorter filter or kernel_snap 'off' helps"),
        }
    }
}

/// Programs of the rings, one for each of [`LINKS`]. A link type without a program accepts every frame whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct KernelFilters([Option<Program>; LINKS.len()]);

impl KernelFilters {
    /// Accepts frames that match `expression` (all, if it is empty), cut by the program of `snap`.
    ///
    /// # Errors
    /// The expression is wrong on Ethernet, or too long.
    pub(crate) fn new(expression: &str, snap: KernelSnap) -> Result<Self, FilterError> {
        Self::compile(|link| {
            let cut = match snap {
                KernelSnap::Content => content_snap(link),
                KernelSnap::Off => None,
            };
            if expression.trim().is_empty() {
                return Ok(cut);
            }
            // One program: a socket has one filter, whose result is both the decision and the number of bytes kept.
            match (sentinel_filter::compile_for(Target::Kernel, expression, link, u32::MAX), cut) {
                (Ok(filter), Some(cut)) => filter.and(&cut).map(Some).map_err(FilterError::Combined),
                (Ok(filter), None) => Ok(Some(filter)),
                // Some expressions make sense on Ethernet only; then no frame matches on other links.
                (Err(_), _) if link != LinkType::ETHERNET => Ok(Self::refuse_all()),
                (Err(error), _) => Err(FilterError::Expression(error)),
            }
        })
    }

    /// Calls `compile` for each link type that a ring can have.
    ///
    /// # Errors
    /// The first error of `compile`.
    pub(crate) fn compile<E>(compile: impl Fn(LinkType) -> Result<Option<Program>, E>) -> Result<Self, E> {
        let mut programs = Self::default();
        for (program, link) in programs.0.iter_mut().zip(LINKS) {
            *program = compile(link)?;
        }
        Ok(programs)
    }

    /// Program that refuses every frame. Always there: one instruction that returns is valid.
    pub(crate) fn refuse_all() -> Option<Program> {
        Program::new(REFUSE_ALL.to_vec()).ok()
    }

    /// Program for rings of this link type, if there is one.
    pub(super) fn program(&self, link: LinkType) -> Option<&[Instruction]> {
        let index = LINKS.iter().position(|known| *known == link)?;
        self.0.get(index)?.as_ref().map(Program::instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_and_the_snap_are_one_program() {
        let both = KernelFilters::new("tcp port 443", KernelSnap::Content).unwrap();
        let alone = KernelFilters::new("tcp port 443", KernelSnap::Off).unwrap();
        let length =
            |filters: &KernelFilters| filters.program(LinkType::ETHERNET).map_or(0, <[Instruction]>::len);
        assert!(length(&both) > length(&alone) && length(&alone) > 3);
        assert!(KernelFilters::new("", KernelSnap::Off).unwrap().program(LinkType::RAW).is_none());
        assert!(KernelFilters::new("", KernelSnap::Content).unwrap().program(LinkType::RAW).is_some());
        let error = KernelFilters::new("tcp port", KernelSnap::Content).unwrap_err().to_string();
        assert!(error.contains("column"), "{error}");
        // A link without hardware addresses has no frame from one.
        let ethernet = KernelFilters::new("ether host 02:00:00:00:00:01", KernelSnap::Off).unwrap();
        assert_eq!(ethernet.program(LinkType::RAW), Some(&REFUSE_ALL[..]));
    }
}
