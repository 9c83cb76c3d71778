//! Strongly connected components of an import graph.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Graph;

/// One entry for each circle: its files, and each edge within it with the names that it carries.
pub(crate) fn circles(graph: &Graph) -> Vec<String> {
    let reachable: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|file| (file.as_str(), reached_from(graph, file))).collect();
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for (file, reached) in &reachable {
        // On a circle if it reaches itself; the circle is all that it reaches and that reaches it.
        if !reached.contains(file) || shown.contains(file) {
            continue;
        }
        let members: BTreeSet<&str> = reached
            .iter()
            .copied()
            .filter(|other| reachable.get(other).is_some_and(|back| back.contains(file)))
            .collect();
        shown.extend(&members);
        found.push(describe(graph, &members));
    }
    found
}

/// Files reached from `start` over at least one edge. Graphs here have a few hundred edges.
fn reached_from<'g>(graph: &'g Graph, start: &str) -> BTreeSet<&'g str> {
    let mut reached = BTreeSet::new();
    let mut pending = vec![start];
    while let Some(file) = pending.pop() {
        for next in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(next.as_str()) {
                pending.push(next);
            }
        }
    }
    reached
}

fn describe(graph: &Graph, members: &BTreeSet<&str>) -> String {
    let mut text = format!("circle of {} files:", members.len());
    for file in members {
        for (used, names) in graph.get(*file).into_iter().flatten() {
            if members.contains(used.as_str()) {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                text.push_str(&format!("\n    {file} -> {used}: {}", names.join(", ")));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::graph_of;
    use super::*;

    #[test]
    fn a_circle_is_shown_once_with_its_names() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "use crate::a::A;"),
            ("d.rs", "use crate::a::A;"),
        ];
        let found = circles(&graph_of(&files));
        assert_eq!(
            found,
            ["circle of 3 files:\n    a.rs -> b.rs: B\n    b.rs -> c.rs: C\n    c.rs -> a.rs: A"]
        );
    }

    #[test]
    fn a_type_and_its_child_modules_are_no_circle() {
        let files = [
            ("lib.rs", "mod ring; mod log;"),
            ("ring/mod.rs", "mod walk; use walk::Walk; pub struct Ring;"),
            ("ring/walk.rs", "use super::Ring; pub struct Walk;"),
            ("log.rs", "use crate::ring::Ring;"),
        ];
        assert_eq!(circles(&graph_of(&files)), Vec::<String>::new());
    }

    #[test]
    fn a_circle_through_a_facade_is_found() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("a.rs", "use crate::B; pub struct A;"),
            ("b.rs", "use crate::A; pub struct B;"),
        ];
        assert_eq!(circles(&graph_of(&files)).len(), 1);
    }
}
