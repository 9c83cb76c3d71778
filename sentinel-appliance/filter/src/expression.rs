//! The compiler: scanner, parser, optimiser, code generator.

use alloc::vec::Vec;

use sentinel_units::LinkType;

use crate::emit::emit;
use crate::error::{ExpressionError, ExpressionErrorReason};
use crate::graph::{Graph, Successor};
use crate::headers::Headers;
use crate::lexer::tokens;
use crate::optimise::optimise;
use crate::parser::Parser;
use crate::primitive::ConditionBuilder;
use crate::program::Program;
use crate::target::Target;

/// Compiles `expression`, in the language of `pcap-filter(7)`, for frames of type `link` from a file. A
/// packet that matches returns `snap_bytes`, how much of it to keep; an empty expression matches all.
///
/// # Errors
/// [`ExpressionError`] says where the expression is wrong and what was expected there.
pub fn compile(expression: &str, link: LinkType, snap_bytes: u32) -> Result<Program, ExpressionError> {
    compile_for(Target::File, expression, link, snap_bytes)
}

/// Compiles `expression` as [`compile`] does, for `target` to run.
///
/// # Errors
/// [`ExpressionError`], as for [`compile`]; its column is 1 if the expression as a whole is the reason.
pub fn compile_for(
    target: Target,
    expression: &str,
    link: LinkType,
    snap_bytes: u32,
) -> Result<Program, ExpressionError> {
    let error = |reason| ExpressionError { column: 1, reason };
    let headers = Headers::new(link, target).ok_or_else(|| {
        error(ExpressionErrorReason::NotOnLink { what: "headers that are known here", link })
    })?;
    let tokens = tokens(expression)?;
    let mut parser = Parser::new(&tokens, ConditionBuilder { graph: Graph::default(), headers });
    let condition = parser.expression().map_err(|error| error.to_expression_error(expression))?;
    let mut graph = parser.into_graph();
    let entry = condition.map_or(Successor::Accept, |condition| graph.finish(condition));
    let entry = optimise(&mut graph, entry);
    if entry == Successor::Reject {
        return Err(error(ExpressionErrorReason::RejectsAll));
    }
    let instructions: Vec<_> =
        emit(&graph, entry, snap_bytes).map_err(|_| error(ExpressionErrorReason::TooLong))?;
    Program::new(instructions).map_err(|invalid| error(ExpressionErrorReason::InvalidProgram(invalid)))
}
