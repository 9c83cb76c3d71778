//! Benign labels: the names that sites have asked browsers to reach over TLS only.
//!
//! The list of the Chromium project in the form of the Python package `hstspreload`: records of flags, length and text; a
//! leaf holds a whole name. Names of governments of the United States are left out, because a list of them is a common one to judge by.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sentinel_detect::dga;

/// Flag of a record that ends a name.
const IS_LEAF: u8 = 0x80;

/// The label before the public suffix of every name, and the top-level domain.
pub(crate) fn labels(path: &Path) -> Result<BTreeSet<(String, String)>> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut labels = BTreeSet::new();
    let mut left = &bytes[..];
    while let [flags, len, behind @ ..] = left {
        let (text, behind) =
            behind.split_at_checked(usize::from(*len)).context("the list ends within a record")?;
        left = behind;
        let text = std::str::from_utf8(text).context("a label that is no text")?;
        let label = dga::label(text);
        if flags & IS_LEAF != 0 && label.len() > 1 && !label.starts_with("xn--") && !text.ends_with(".gov") {
            labels.insert((label.to_owned(), dga::top(text).to_owned()));
        }
    }
    ensure!(labels.len() > 50_000, "only {} labels: not the list that is meant", labels.len());
    Ok(labels)
}
