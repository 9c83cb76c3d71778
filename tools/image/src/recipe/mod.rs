//! Contents of the packages of this repository.

mod debian;
mod openwrt;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::boards::Boards;
use crate::package::Version;

pub use debian::{deb, manual_page};
pub use openwrt::{appliance, luci};
pub use settings::registry;

/// Reference of the settings in the checkout.
pub const REFERENCE: &str = "sentinel-appliance/sensor/SETTINGS.md";

/// Name of the package with the program.
pub const NAME: &str = "sentinel-appliance";

/// Checkout that packages are made from, and what they have in common.
#[derive(Debug)]
pub struct Source {
    /// Root of the checkout.
    pub repository: PathBuf,
    /// Version of all packages.
    pub version: Version,
    /// Time of all files, seconds since 1970.
    pub time: u64,
    /// Name and address of the person who answers for the packages.
    pub maintainer: String,
    /// Address of the project, or nothing.
    pub url: String,
    /// Programs and the names of their CPUs.
    pub boards: Boards,
}

impl Source {
    fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        read(&self.repository.join(path))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
