//! `image`: makes keys, packages and feeds, and checks them.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};
use sentinel_image::apk::{self, Apk};
use sentinel_image::boards::Boards;
use sentinel_image::feed::{self, ApkIndex, Trusted};
use sentinel_image::keys::{self, ApkPublic, FeedKeys, UsignPublic};
use sentinel_image::package::{Package, Version};
use sentinel_image::recipe::{self, Source};
use sentinel_image::{check, ipk, pi, show};

/// Packages of the sensor for OpenWrt and Debian, the same bytes every time
#[derive(Parser)]
#[command(name = "image", version)]
struct Arguments {
    /// Root of the checkout
    #[arg(long, global = true, default_value = ".")]
    repository: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the two key pairs of a feed; keep the private ones, and never commit them
    Keys {
        /// Directory to write into
        directory: PathBuf,
    },
    /// Write a signed feed for OpenWrt, a directory for each architecture
    Openwrt {
        #[command(flatten)]
        choices: Choices,
        /// Directory with the keys of the feed
        #[arg(long)]
        keys: PathBuf,
        /// Name of OpenWrt [default: all whose program is in the folder of programs]
        #[arg(long)]
        architecture: Vec<String>,
    },
    /// Write packages for Debian
    Deb {
        #[command(flatten)]
        choices: Choices,
        /// Name of Debian [default: all whose program is in the folder of programs]
        #[arg(long)]
        architecture: Vec<String>,
        /// Program that this machine runs, for the manual page [default: that for x86-64]
        #[arg(long, value_name = "PROGRAM")]
        help_from: Option<PathBuf>,
    },
    /// Write the image of a card for the Raspberry Pi
    Pi {
        #[command(flatten)]
        choices: Choices,
        /// Unpacked packages of Debian, as `ci/install.sh pi` leaves them
        #[arg(long, value_name = "DIRECTORY")]
        system: PathBuf,
    },
    /// Check packages and feeds: cut, altered, wrongly signed, for another CPU
    Check {
        /// Packages, or directories of a feed
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Public key of `Packages`
        #[arg(long)]
        usign_key: Option<PathBuf>,
        /// Public key of `.apk` files
        #[arg(long)]
        apk_key: Option<PathBuf>,
    },
    /// Show a package or index of apk in the form of `apk adbdump`
    Show {
        /// Package or index
        path: PathBuf,
    },
    /// Print the module with all settings for the web interface
    Registry,
    /// List the architectures and the program for each
    Architectures,
}

#[derive(Args)]
struct Choices {
    /// Folder of programs, as `ci/cross.sh` leaves it
    #[arg(long, default_value = "dist")]
    programs: PathBuf,
    /// Directory to write into; of `pi` the file to write
    #[arg(short, long)]
    output: PathBuf,
    /// Number of this packaging of the version
    #[arg(long, default_value_t = 1)]
    release: u32,
    /// Time of all files, seconds since 1970 [default: of the last commit]
    #[arg(long, env = "SOURCE_DATE_EPOCH")]
    time: Option<u64>,
    /// Maintainer of the packages
    #[arg(long, default_value = "Sentinel Appliance developers <sentinel-appliance@example.invalid>")]
    maintainer: String,
    /// Address of the project
    #[arg(long, default_value = "")]
    url: String,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn run(arguments: &Arguments) -> Result<()> {
    let repository = &arguments.repository;
    match &arguments.command {
        Command::Keys { directory } => {
            keys::generate(directory)?.iter().for_each(|path| println!("{}", path.display()));
        }
        Command::Openwrt { choices, keys, architecture } => {
            let source = choices.source(repository)?;
            for path in openwrt(&source, choices, &FeedKeys::read(keys)?, architecture)? {
                println!("{}", path.display());
            }
        }
        Command::Deb { choices, architecture, help_from } => {
            let source = choices.source(repository)?;
            for path in debian(&source, choices, architecture, help_from.as_deref())? {
                println!("{}", path.display());
            }
        }
        Command::Pi { choices, system } => {
            let source = choices.source(repository)?;
            let [(_, program)] = &programs(&source, choices, &["arm64".to_owned()], [].iter())?[..] else {
                bail!("want one program for 64-bit ARM");
            };
            let image = pi::image(&source, system, program)?;
            fs::write(&choices.output, image).with_context(|| choices.output.display().to_string())?;
            println!("{}", choices.output.display());
        }
        Command::Check { paths, usign_key, apk_key } => {
            let boards = Boards::read(repository)?;
            let usign =
                usign_key.as_ref().map(|path| UsignPublic::parse(&keys::read_text(path)?)).transpose()?;
            let apk = apk_key.as_ref().map(|path| ApkPublic::parse(&keys::read_text(path)?)).transpose()?;
            let trusted = Trusted { usign, apk };
            for path in paths {
                println!("{}", check::check(path, &boards, &trusted)?);
            }
        }
        Command::Show { path } => print!("{}", shown(path)?),
        Command::Registry => {
            let path = repository.join(recipe::REFERENCE);
            let reference = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            print!("{}", recipe::registry(&reference)?);
        }
        Command::Architectures => print!("{}", Boards::read(repository)?.text()),
    }
    Ok(())
}

fn shown(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    match ApkIndex::read(&bytes) {
        Ok(index) => show::index(&index, None),
        Err(_) => show::apk(&Apk::read(&bytes).with_context(|| path.display().to_string())?, None),
    }
}

/// Writes a directory for each architecture, and returns them.
fn openwrt(source: &Source, choices: &Choices, keys: &FeedKeys, wanted: &[String]) -> Result<Vec<PathBuf>> {
    let luci = recipe::luci(source)?;
    let all = source.boards.programs.iter().flat_map(|program| &program.openwrt);
    let mut written = Vec::new();
    for (architecture, program) in programs(source, choices, wanted, all)? {
        let directory = choices.output.join(&architecture);
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        let appliance = recipe::appliance(source, &architecture, &program)?;
        for package in [&appliance, &luci] {
            put(&directory, &ipk::file_name(package), &ipk::write(package)?)?;
            put(&directory, &apk::file_name(package), &signed(package, keys)?)?;
        }
        feed::write(&directory, keys)?;
        written.push(directory);
    }
    Ok(written)
}

fn signed(package: &Package, keys: &FeedKeys) -> Result<Vec<u8>> {
    apk::write(package, Some(&keys.apk))
}

fn debian(
    source: &Source,
    choices: &Choices,
    wanted: &[String],
    help: Option<&Path>,
) -> Result<Vec<PathBuf>> {
    let native = choices.programs.join("x86_64-unknown-linux-musl/sentinel");
    let program = help.unwrap_or(&native);
    let said = Process::new(program).arg("--help").output().with_context(|| program.display().to_string())?;
    ensure!(said.status.success(), "{} --help: {}", program.display(), said.status);
    let help = String::from_utf8(said.stdout).context("help that is no text")?;
    let all = source.boards.programs.iter().filter_map(|program| program.debian.as_ref());
    fs::create_dir_all(&choices.output).with_context(|| choices.output.display().to_string())?;
    let mut written = Vec::new();
    for (architecture, program) in programs(source, choices, wanted, all)? {
        let (name, bytes) = recipe::deb(source, &architecture, &program, &help)?;
        put(&choices.output, &name, &bytes)?;
        written.push(choices.output.join(name));
    }
    Ok(written)
}

/// Architectures and the bytes of their programs: those wanted, or all that were built.
fn programs<'n>(
    source: &Source,
    choices: &Choices,
    wanted: &'n [String],
    all: impl Iterator<Item = &'n String>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let path = |name: &str| -> Result<PathBuf> {
        Ok(choices.programs.join(&source.boards.program(name)?.triple).join("sentinel"))
    };
    let names: Vec<&String> = if wanted.is_empty() {
        all.filter(|name| path(name).is_ok_and(|path| path.exists())).collect()
    } else {
        wanted.iter().collect()
    };
    ensure!(!names.is_empty(), "{}: no program; `ci/cross.sh all` builds them", choices.programs.display());
    let mut found = Vec::new();
    for name in names {
        let path = path(name)?;
        found.push((name.clone(), fs::read(&path).with_context(|| path.display().to_string())?));
    }
    Ok(found)
}

fn put(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    fs::write(&path, bytes).with_context(|| path.display().to_string())
}

impl Choices {
    fn source(&self, repository: &Path) -> Result<Source> {
        let time = match self.time {
            Some(time) => time,
            None => commit_time(repository)?,
        };
        ensure!(self.maintainer.contains('<'), "--maintainer: want `Name <address>`");
        Ok(Source {
            repository: repository.to_owned(),
            version: Version { upstream: env!("CARGO_PKG_VERSION").to_owned(), release: self.release },
            time,
            maintainer: self.maintainer.clone(),
            url: self.url.clone(),
            boards: Boards::read(repository)?,
        })
    }
}

fn commit_time(repository: &Path) -> Result<u64> {
    let said = Process::new("git").args(["log", "-1", "--format=%ct"]).current_dir(repository).output();
    let said = said.context("git log, for the time of the last commit; --time gives one without git")?;
    ensure!(said.status.success(), "git log: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(String::from_utf8(said.stdout)?.trim().parse()?)
}
