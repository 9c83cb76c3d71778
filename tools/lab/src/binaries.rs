//! Paths of the programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::{env, error::Error, fmt};

use anyhow::{Context as _, Result, bail};

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
    /// Programs beside this one, built first from this working tree if they are not up to date.
    ///
    /// `LAB_SENSOR`, `LAB_COLLECTOR` and `LAB_TRAFFICGEN` name others; with all three nothing is built.
    ///
    /// # Errors
    /// The reason why they cannot be built, the same at every call.
    pub fn locate() -> Result<Self> {
        static FOUND: OnceLock<Result<Binaries, NotBuilt>> = OnceLock::new();
        let found = FOUND.get_or_init(|| find().map_err(|error| NotBuilt(Arc::new(error))));
        Ok(found.clone()?)
    }
}

/// Error of the first attempt to locate the programs, shared by all tests of a process.
#[derive(Clone, Debug)]
struct NotBuilt(Arc<anyhow::Error>);

impl fmt::Display for NotBuilt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Error for NotBuilt {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Name of each program, its package, and the variable that names another path.
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

/// Directory of cargo's programs in the profile of this program.
fn directory() -> Result<PathBuf> {
    let own = env::current_exe().context("the path of this program")?;
    let parent = own.parent().context("the directory of this program")?;
    // Tests are in the subdirectory `deps`.
    Ok(if parent.ends_with("deps") { parent.parent().unwrap_or(parent) } else { parent }.to_owned())
}

/// Builds the programs in the profile to which `directory` belongs.
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
