//! A small file system of its own, for what happens when it is full.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::lab::Lab;
use crate::program::Program;
use crate::wait;

/// A tmpfs that exists only in a mount namespace: it goes with the process that holds the namespace.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
    holder: Program,
}

impl SmallDisk {
    /// Mounts `kib` KiB at `at`, which is made.
    ///
    /// # Errors
    /// What keeps it from being mounted.
    pub fn mount(lab: &Lab, at: &Path, kib: u32) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mut command = Command::new("unshare");
        let script =
            "mount -t tmpfs -o size=\"$2\"k,mode=700 lab \"$1\" && echo mounted && exec sleep infinity";
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        command.arg(at).arg(kib.to_string());
        let mut holder = Program::start(command, &lab.path("disk"))?;
        wait::until_true("the small disk is mounted", wait::WAIT_TIMEOUT, || {
            if !holder.is_running()? {
                anyhow::bail!("mounting: {}", holder.errors()?);
            }
            Ok(holder.output()?.contains("mounted"))
        })?;
        Ok(Self { at: at.to_owned(), holder })
    }

    /// The same command, where the disk is mounted.
    #[must_use]
    pub fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()));
        command.arg("--").arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Where `path`, which is below the mount point, is reached from outside.
    #[must_use]
    pub fn seen_from_here(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Takes every byte that is left. Returns how many that were.
    ///
    /// # Errors
    /// Any other failure than a full disk.
    pub fn fill(&self) -> Result<u64> {
        let path = self.filler();
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        let mut written = 0;
        for size in [4096_usize, 1] {
            let block = vec![0xaa; size];
            loop {
                match file.write(&block) {
                    Ok(0) => break,
                    Ok(count) => written += u64::try_from(count)?,
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("filling the disk"),
                }
            }
        }
        Ok(written)
    }

    /// Gives back what [`SmallDisk::fill`] took.
    ///
    /// # Errors
    /// That it took nothing.
    pub fn empty(&self) -> Result<()> {
        std::fs::remove_file(self.filler()).context("emptying the disk")
    }

    fn filler(&self) -> PathBuf {
        self.seen_from_here(&self.at.join("filler"))
    }
}
