//! Small file system, for tests of a full disk.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::lab::Lab;
use crate::program::Program;
use crate::wait;

/// tmpfs in a mount namespace of its own; unmounted when the process that holds the namespace ends.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
    holder: Program,
}

impl SmallDisk {
    /// Mounts a tmpfs of `kib` KiB at `at`, which is created.
    ///
    /// # Errors
    /// The reason why it cannot be mounted.
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

    /// Command that runs `inner` in the mount namespace.
    #[must_use]
    pub fn command(&self, inner: &Command) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()));
        command.arg("--").arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Path by which a file below the mount point is reached from this namespace.
    #[must_use]
    pub fn outer_path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Fills the disk to the last byte. Returns the number of bytes written.
    ///
    /// # Errors
    /// Any error but that of a full disk.
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

    /// Frees the space that [`SmallDisk::fill`] has taken.
    ///
    /// # Errors
    /// If it has taken none.
    pub fn empty(&self) -> Result<()> {
        std::fs::remove_file(self.filler()).context("emptying the disk")
    }

    fn filler(&self) -> PathBuf {
        self.outer_path(&self.at.join("filler"))
    }
}
