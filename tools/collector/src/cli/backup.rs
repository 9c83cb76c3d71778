//! Commands `backup` and `restore`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{StoreArguments, database_key, print};
use crate::access::password;
use crate::backup::{self, Contents, Cost};
use crate::store::key::read_private;

const PASSPHRASE_HELP: &str = "The passphrase is in the file of --passphrase-file, which only you may read, or in \
    SENTINEL_BACKUP_PASSPHRASE. Without it a backup cannot be opened by anybody.";

#[derive(Args, Debug)]
struct PassphraseArguments {
    /// File of the passphrase: its first line.
    #[arg(long, env = "SENTINEL_BACKUP_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArguments {
    fn read(&self) -> anyhow::Result<String> {
        if let Some(path) = &self.passphrase_file {
            return Ok(read_private(path)?.lines().next().unwrap_or_default().to_owned());
        }
        std::env::var("SENTINEL_BACKUP_PASSPHRASE")
            .ok()
            .filter(|given| !given.is_empty())
            .context("give the passphrase by --passphrase-file FILE or SENTINEL_BACKUP_PASSPHRASE")
    }
}

#[derive(Args, Debug)]
#[command(after_help = PASSPHRASE_HELP)]
pub(super) struct BackupArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// New file for the backup. Beside it must be room for two copies of the database.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
}

impl BackupArguments {
    pub(super) fn execute(self) -> anyhow::Result<()> {
        let files = self.store.existing_files()?;
        let passphrase = self.passphrase.read()?;
        password::check_new(&passphrase, "").map_err(|weak| anyhow::anyhow!("the passphrase: {weak}"))?;
        let made = backup::make(&files, database_key()?.is_some(), &self.to, &passphrase, Cost::DEFAULT)
            .with_context(|| format!("no backup was made of {}", self.store.data.display()))?;
        let store = made.manifest.store;
        let key =
            if made.manifest.has_foreign_key { "; SENTINEL_DB_KEY is NOT in it: keep it, too" } else { "" };
        print(&format!(
            "{}: {} sensors, {} alerts, {} files, {} bytes{key}\ncheck it with sentinel-collector restore --check --from {0}\n",
            self.to.display(),
            store.sensors,
            store.alerts,
            made.names.len(),
            made.bytes
        ))
    }
}

#[derive(Args, Debug)]
#[command(after_help = PASSPHRASE_HELP)]
pub(super) struct RestoreArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Read all of it and say what it has; write nothing.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    passphrase: PassphraseArguments,
}

impl RestoreArguments {
    pub(super) fn execute(self) -> anyhow::Result<()> {
        let passphrase = self.passphrase.read()?;
        if self.check {
            let contents = backup::check(&self.from, &passphrase)?;
            return print(&format!("complete and unaltered\n{}", describe(&contents)));
        }
        let to: &Path = &self.store.data;
        if to.join("collector.lock").exists() && to.join(crate::store::DATABASE).exists() {
            bail!("there is a collector in {}; restore into a new directory, or move it away", to.display());
        }
        let contents = backup::restore(&self.from, &passphrase, to, database_key()?.as_deref())
            .with_context(|| format!("nothing was restored into {}", to.display()))?;
        print(&format!(
            "restored into {}\n{}alerts that sensors delivered after the backup are shown as missing since restore\n",
            to.display(),
            describe(&contents)
        ))
    }
}

fn describe(contents: &Contents) -> String {
    let manifest = &contents.manifest;
    let names: Vec<&str> = contents.files.iter().map(|(name, _)| name.as_str()).collect();
    format!(
        "made {} by version {}: {} sensors, {} alerts\nfiles {}\n",
        manifest.at.rfc3339(),
        manifest.version,
        manifest.store.sensors,
        manifest.store.alerts,
        names.join(", ")
    )
}
