//! Origin of a value, and problems with it.

use std::fmt;

/// Layer that a value comes from; a later one wins.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Origin {
    /// No layer sets it.
    Default,
    /// The settings file; both numbers count from one.
    File { line: u32, column: u32 },
    /// An environment variable.
    Environment,
    /// `--set` on the command line.
    Flag,
}

/// Message about a setting, with its place: an error, or a warning about an old name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// Layer of the value.
    pub(crate) origin: Origin,
    /// Path of the file, name of the variable, or name of the flag.
    pub(crate) source: String,
    /// Message: the error and the allowed values.
    pub(crate) what: String,
    /// The name is not one of this version: an option of a newer one, or a typing error.
    pub(crate) is_unknown: bool,
}

/// `/etc/config/sentinel-appliance:3:9: unknown option 'prots'; did you mean 'ports'?`
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, source, what, is_unknown: _ } = self;
        match origin {
            Origin::File { line, column } => write!(out, "{source}:{line}:{column}: {what}"),
            Origin::Environment => write!(out, "environment variable {source}: {what}"),
            Origin::Flag => write!(out, "--set {source}: {what}"),
            Origin::Default => write!(out, "{source}: {what}"),
        }
    }
}

impl std::error::Error for Problem {}

/// Nearest name within a Levenshtein distance of one change for each four characters.
pub(super) fn nearest<'n>(wrong: &str, names: &[&'n str]) -> Option<&'n str> {
    if wrong.len() > MAX_NAME_LEN {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase();
    let allowed = 1 + wrong.len() / 4;
    names
        .iter()
        .map(|name| (distance(wrong.as_bytes(), name.to_ascii_lowercase().as_bytes()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| *name)
}

/// Longest word that is compared; no setting has a longer name.
const MAX_NAME_LEN: usize = 64;

/// Levenshtein distance, by dynamic programming with one row.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, left) in from.iter().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(to) {
            let above = *cell;
            *cell = (diagonal + usize::from(left != right)).min(above + 1).min(before + 1);
            diagonal = above;
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let names = ["enabled", "severity", "ports", "window_s"];
        for (wrong, meant) in [
            ("prots", Some("ports")),
            ("port", Some("ports")),
            ("Ports", Some("ports")),
            ("windows", Some("window_s")),
            ("enable", Some("enabled")),
            ("severty", Some("severity")),
            ("wifi", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, &names), meant, "{wrong}");
        }
        assert_eq!(nearest(&"ports".repeat(100), &names), None);
    }

    #[test]
    fn distance_counts_changes() {
        for (from, to, changes) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(from.as_bytes(), to.as_bytes()), changes, "{from} {to}");
        }
    }
}
