//! One package, before it takes the form of a distribution.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, ensure};

use crate::files::Files;

/// Version of a package: that of the program, and how often it was packaged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// `X.Y.Z`.
    pub upstream: String,
    /// From 1.
    pub release: u32,
}

impl Version {
    /// As OpenWrt writes it.
    #[must_use]
    pub fn openwrt(&self) -> String {
        format!("{}-r{}", self.upstream, self.release)
    }

    /// As Debian writes it.
    #[must_use]
    pub fn debian(&self) -> String {
        format!("{}-{}", self.upstream, self.release)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.openwrt())
    }
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wanted = || format!("version {text:?}: want X.Y.Z-rN");
        let (upstream, release) = text.split_once("-r").with_context(wanted)?;
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        ensure!(upstream.split('.').count() == 3 && upstream.split('.').all(is_number), wanted());
        ensure!(is_number(release), wanted());
        Ok(Self { upstream: upstream.to_owned(), release: release.parse().with_context(wanted)? })
    }
}

/// Files and description of a package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Name of the package.
    pub name: String,
    /// Version.
    pub version: Version,
    /// Name of OpenWrt or Debian, or `all`.
    pub architecture: String,
    /// One line.
    pub description: String,
    /// Text below that line, for Debian.
    pub details: String,
    /// Section of the distribution.
    pub section: String,
    /// Where the source is in the distribution's tree, for OpenWrt.
    pub source: String,
    /// Address of the project.
    pub url: String,
    /// Name and address of the person who answers for it.
    pub maintainer: String,
    /// Names of packages that must be there.
    pub depends: Vec<String>,
    /// User and group that must exist, for OpenWrt: `name=number:group=number`.
    pub user: Option<String>,
    /// Absolute paths of settings that a user may change.
    pub conffiles: Vec<String>,
    /// Files that are installed.
    pub files: Files,
    /// Shell commands after the distribution's own at the end of an installation, OpenWrt.
    pub after_install: String,
    /// Shell commands after the files were removed, OpenWrt.
    pub after_removal: String,
    /// Time of all files, seconds since 1970.
    pub time: u64,
}

/// Licence of everything in this repository.
pub const LICENSE: &str = "MIT OR Apache-2.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers_and_a_release() -> Result<()> {
        assert_eq!("0.1.0-r12".parse::<Version>()?.debian(), "0.1.0-12");
        for text in ["0.1-r1", "0.1.0", "0.1.0-1", "0.1.0-r", "a.1.0-r1", "0.1.0-r1-r2"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        Ok(())
    }
}
