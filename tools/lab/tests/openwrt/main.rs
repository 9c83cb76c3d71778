//! The OpenWrt init script in busybox ash, in a root directory with the real `sentinel` and stand-ins for procd that write down
//! what they are called with. Real procd and ubus are in no package of Debian.
//!
//! Needs root (chroot) and /bin/busybox; otherwise the tests print `skipped:`.

#![cfg(test)]

mod settings;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Binaries, run};
use tempfile::TempDir;

const NAME: &str = "sentinel-appliance";
/// Programs that the script uses; busybox has all of them, as on OpenWrt.
const APPLETS: [&str; 10] = ["sh", "chmod", "cat", "grep", "sed", "kill", "mkdir", "ls", "head", "mv"];

/// Root directory of a device.
struct Device(TempDir);

impl Device {
    fn new() -> Result<Self> {
        let device = Self(TempDir::with_prefix("sentinel-openwrt-")?);
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs");
        for folder in ["bin", "dev", "etc/init.d", "etc/config", "usr/sbin", "var/run", "tmp"] {
            fs::create_dir_all(device.path(folder))?;
        }
        device.program(Path::new("/bin/busybox"), "bin/busybox")?;
        APPLETS.iter().try_for_each(|name| symlink("busybox", device.path(&format!("bin/{name}"))))?;
        device.program(&Binaries::locate()?.sensor, "usr/sbin/sentinel")?;
        for (path, mode) in [
            ("etc/init.d/sentinel-appliance", 0o755),
            ("etc/config/sentinel-appliance", 0o600),
            ("etc/uci-defaults/90_sentinel-appliance", 0o644),
            ("etc/hotplug.d/iface/90-sentinel-appliance", 0o644),
            ("usr/libexec/rpcd/sentinel", 0o755),
        ] {
            device.copy(&files.join(path), path, mode)?;
        }
        device.copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openwrt/uci"), "bin/uci", 0o755)?;
        device.copy(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openwrt/rc.common"),
            "etc/rc.common",
            0o755,
        )?;
        device.write("bin/logger", "#!/bin/sh\nshift 4\necho \"$*\" >>/logged\n", 0o755)?;
        device.write("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n", 0o644)?;
        device.write("etc/group", "root:x:0:\n", 0o644)?;
        device.write("dev/null", "", 0o666)?;
        Ok(device)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let to = self.path(to);
        fs::create_dir_all(to.parent().context("a directory")?)?;
        fs::copy(from, &to).with_context(|| from.display().to_string())?;
        Ok(fs::set_permissions(&to, fs::Permissions::from_mode(mode))?)
    }

    fn write(&self, name: &str, content: &str, mode: u32) -> Result<()> {
        fs::write(self.path(name), content)?;
        Ok(fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode))?)
    }

    /// A program with the libraries that it is linked with; a static one has none.
    fn program(&self, from: &Path, to: &str) -> Result<()> {
        self.copy(from, to, 0o755)?;
        let libraries = run(Command::new("ldd").arg(from)).unwrap_or_default();
        let paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        paths.into_iter().try_for_each(|path| self.copy(Path::new(path), path.trim_start_matches('/'), 0o755))
    }

    /// Runs `/etc/init.d/sentinel-appliance ACTION`, by its first line, and returns what procd was told since.
    fn service(&self, action: &str) -> Result<Vec<String>> {
        let _none_yet = fs::remove_file(self.path("record"));
        run(&mut self.command(&[&format!("/etc/init.d/{NAME}"), action]))?;
        Ok(self.read("record").lines().map(str::to_owned).collect())
    }

    /// A command on the device, without the environment of this machine.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(self.0.path()).args(words).env_clear().env("PATH", "/bin:/usr/sbin:/usr/bin:/sbin");
        command
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

fn on_a_device(work: impl FnOnce(&Device) -> Result<()>) -> Result<()> {
    let is_root = run(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !Path::new("/bin/busybox").exists() {
        // Written directly: the test harness captures the output of macros.
        return Ok(writeln!(io::stderr(), "skipped: chroot needs root, the shell /bin/busybox")?);
    }
    work(&Device::new()?)
}

#[test]
fn start_tells_procd_one_instance_that_is_restarted_without_end() -> Result<()> {
    on_a_device(|device| {
        let told = device.service("start")?;
        let has = |line: &str| told.iter().any(|told| told == line);
        ensure!(told.first().is_some_and(|line| line == &format!("open_service|{NAME}")), "{told:?}");
        ensure!(told.last().is_some_and(|line| line == "close_service") && has("returned|0"), "{told:?}");
        ensure!(told.iter().filter(|line| line.starts_with("open_instance")).count() == 1, "{told:?}");
        for line in [
            "param|command|/usr/sbin/sentinel|run",
            "param|file|/usr/sbin/sentinel",
            // Threshold 3,600 s, no wait between two starts, 0: any number of them.
            "param|respawn|3600|0|0",
            "param|stdout|1",
            "param|stderr|1",
            "param|term_timeout|10",
            "param|pidfile|/var/run/sentinel-appliance.pid",
            "close_instance",
            "reload_trigger|sentinel-appliance",
        ] {
            ensure!(has(line), "procd was not told {line}: {told:?}");
        }
        // The program drops its rights by itself, once its rings are open: as another user, in a jail or with no_new_privs and
        // without the capability it could not open them.
        let kept = [
            "param|user",
            "param|group",
            "param|capabilities",
            "param|no_new_privs",
            "param|seccomp",
            "jail",
        ];
        ensure!(!told.iter().any(|line| kept.iter().any(|start| line.starts_with(start))), "{told:?}");
        ensure!(device.read("logged").is_empty(), "{}", device.read("logged"));
        Ok(())
    })
}

#[test]
fn start_adds_the_user_once_and_lets_it_read_the_settings() -> Result<()> {
    on_a_device(|device| {
        let added = format!("user_add|{NAME}||65536");
        ensure!(device.service("start")?.contains(&added), "the first start adds the user");
        ensure!(!device.service("start")?.contains(&added), "the second one does not");
        let lines = device.read("etc/passwd").lines().filter(|line| line.starts_with(NAME)).count();
        ensure!(lines == 1, "{}", device.read("etc/passwd"));
        let mode = fs::metadata(device.path(&format!("etc/config/{NAME}")))?.permissions().mode() & 0o777;
        ensure!(mode == 0o644, "{mode:o}");
        Ok(())
    })
}

/// Such a file started no instance: a router with a typing error in its settings was blind.
#[test]
fn a_settings_file_with_a_fault_is_named_and_the_sensor_starts() -> Result<()> {
    on_a_device(|device| {
        let fault = "config sentinel 'main'\n\tlist interface 'br-lan'\n\toption log_segments 'many'\n";
        device.write(&format!("etc/config/{NAME}"), fault, 0o600)?;
        let told = device.service("start")?;
        ensure!(told.contains(&"returned|0".to_owned()), "{told:?}");
        ensure!(told.iter().any(|line| line.starts_with("open_instance")), "{told:?}");
        ensure!(told.contains(&format!("reload_trigger|{NAME}")), "{told:?}");
        let logged = device.read("logged");
        ensure!(logged.contains("settings with problems:") && logged.contains("log_segments"), "{logged}");
        Ok(())
    })
}

#[test]
fn reload_signals_a_running_sensor_and_starts_one_that_does_not_run() -> Result<()> {
    on_a_device(|device| {
        let told = device.service("reload")?;
        ensure!(told.iter().any(|line| line.starts_with("open_instance")), "{told:?}");
        device.write(&format!("running-{NAME}"), "", 0o644)?;
        let told = device.service("reload")?;
        ensure!(told == [format!("signal|{NAME}|*|1")], "SIGHUP to all instances and nothing else: {told:?}");
        Ok(())
    })
}

/// Files of the sensor that sysupgrade keeps: the lists of `keep.d`, then the hook, with the variables that sysupgrade sets.
fn kept(device: &Device, variables: &str) -> Result<String> {
    let hook = format!(
        "{variables} . /lib/upgrade/{NAME}.sh; for name in $(cat /lib/upgrade/keep.d/{NAME}); do \
         [ ! -f \"$name\" ] || echo \"$name\"; done >/tmp/list; $sysupgrade_init_conffiles /tmp/list; cat /tmp/list"
    );
    run(&mut device.command(&["sh", "-c", &hook]))
}

/// The whole directory was in every backup: up to a MiB of sealed log, and a state of `log.key` that no longer fits the log when
/// the backup is restored.
#[test]
fn a_backup_has_settings_and_keys_and_an_upgrade_the_log_too() -> Result<()> {
    on_a_device(|device| {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs");
        for name in [format!("lib/upgrade/keep.d/{NAME}"), format!("lib/upgrade/{NAME}.sh")] {
            device.copy(&files.join(&name), &name, 0o644)?;
        }
        let settings = fs::read_to_string(files.join("etc/config").join(NAME))?;
        let state = settings
            .lines()
            .find_map(|line| line.trim().strip_prefix("option state_dir '")?.strip_suffix('\''));
        let state = state.context("the settings name the directory of keys and log")?;
        fs::create_dir_all(device.path(state.trim_start_matches('/')))?;
        for name in ["sensor.key", "collector", "log", "log.key", "log.damaged"] {
            device.write(&format!("{}/{name}", state.trim_start_matches('/')), name, 0o600)?;
        }
        let keys = format!("/etc/config/{NAME}\n{state}/sensor.key\n{state}/collector\n");
        for backup in ["CONF_BACKUP=/tmp/b NEED_IMAGE=1;", "CONF_BACKUP_LIST=1;"] {
            let kept = kept(device, backup)?;
            ensure!(kept == keys, "{backup} {kept}");
        }
        let kept = kept(device, "CONF_BACKUP= NEED_IMAGE= CONF_BACKUP_LIST=0;")?;
        ensure!(kept == format!("{keys}{state}/log\n{state}/log.key\n"), "{kept}");
        Ok(())
    })
}
