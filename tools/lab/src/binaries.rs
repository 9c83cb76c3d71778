//! Where the programs are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::program::run;

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `sentinel`
    pub sensor: PathBuf,
    /// `sentinel-collector`
    pub collector: PathBuf,
    /// `trafficgen`
    pub trafficgen: PathBuf,
}

impl Binaries {
    /// Those beside this program, built from this working tree first if they are not up to date.
    ///
    /// `LAB_SENSOR`, `LAB_COLLECTOR` and `LAB_TRAFFICGEN` name others; with all three nothing is built.
    ///
    /// # Errors
    /// What keeps them from being built.
    pub fn locate() -> Result<Self> {
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
        found.clone().map_err(|error| anyhow!(error))
    }
}

/// Name of the program, its package, and the variable that replaces it.
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("sentinel", "sentinel-appliance", "LAB_SENSOR"),
    ("sentinel-collector", "sentinel-collector", "LAB_COLLECTOR"),
    ("trafficgen", "sentinel-trafficgen", "LAB_TRAFFICGEN"),
];

fn find() -> Result<Binaries> {
    let given = PROGRAMS.map(|(_, _, variable)| env::var_os(variable).map(PathBuf::from));
    let beside = directory()?;
    if given.iter().any(Option::is_none) {
        build(&beside)?;
    }
    let mut paths = given.into_iter().zip(PROGRAMS).map(|(given, (name, package, variable))| {
        let path = given.unwrap_or_else(|| beside.join(name));
        if path.is_file() {
            return Ok(path);
        }
        bail!(
            "{} is not there; build it with `cargo build -p {package}`, or name it in {variable}",
            path.display()
        )
    });
    let mut next = || paths.next().context("three programs")?;
    Ok(Binaries { sensor: next()?, collector: next()?, trafficgen: next()? })
}

/// Where cargo puts programs in the profile that this program was built with.
fn directory() -> Result<PathBuf> {
    let own = env::current_exe().context("the path of this program")?;
    let parent = own.parent().context("the directory of this program")?;
    // Tests lie one deeper.
    Ok(if parent.ends_with("deps") { parent.parent().unwrap_or(parent) } else { parent }.to_owned())
}

fn build(directory: &Path) -> Result<()> {
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => bail!("{} is no directory of cargo", directory.display()),
    };
    let target = directory.parent().context("the target directory")?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--quiet", "--bins", "--profile", profile])
        .args(PROGRAMS.iter().flat_map(|(_, package, _)| ["--package", package]))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env("CARGO_TARGET_DIR", target);
    run(&mut command).map(drop).context("building the programs under test")
}
