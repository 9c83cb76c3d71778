//! Optimiser: makes the control-flow graph smaller without changing which packets match.
//!
//! Read first: "The BSD Packet Filter" (1993), section 3; "BPF+: Exploiting Global Data-flow Optimization in
//! a Generalized Packet Filter Architecture" (1999), section 4; libpcap's `optimize.c`, whose passes these
//! follow.
//!
//! - [`jump_threading`]: an edge into a test whose outcome is known on that edge is redirected to where the
//!   outcome leads. Known are the outcomes of the tests on every path to the edge.
//! - [`reorder`]: tests in a row that share an exit are grouped by the value that they compare, so that the
//!   value is loaded once.
//! - [`tail_merging`]: blocks with equal tests and equal successors become one.
//!
//! A test that is removed may be one whose load would have ended the program, because the frame is too short.
//! To match what tcpdump matches, tests whose two edges lead to one place only after tail merging are kept,
//! as in libpcap.

mod jump_threading;
mod reorder;
mod tail_merging;

use crate::graph::{Graph, Successor};
use jump_threading::thread_jumps;
use reorder::reorder_tests;
use tail_merging::merge_equal_blocks;

/// Rounds of all passes in each of the two phases; real filters need three or four.
///
/// Every pass preserves the meaning of the graph by itself, so stopping at the bound before the fixpoint
/// costs instructions, never correctness. The bound is needed because reordering tests could undo, in
/// principle, what made the round before change something.
const MAX_ROUNDS: usize = 64;

/// Runs all passes until none changes the graph, and returns the new entry of the program.
pub(crate) fn optimise(graph: &mut Graph, entry: Successor) -> Successor {
    let mut entry = entry;
    // Two phases. Merged blocks have more predecessors, and what holds on the way from all of them is less:
    // so merging waits until threading alone has reached its fixpoint.
    for is_merging in [false, true] {
        for _ in 0..MAX_ROUNDS {
            let mut changed = thread_jumps(graph, &mut entry, !is_merging);
            changed |= reorder_tests(&mut graph.blocks, entry);
            if is_merging {
                changed |= merge_equal_blocks(&mut graph.blocks, &mut entry);
            }
            if !changed {
                break;
            }
        }
    }
    entry
}
