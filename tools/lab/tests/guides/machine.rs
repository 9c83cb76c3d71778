//! Machines of the guides: a shell each, in a network namespace and a root directory of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel_lab::{Binaries, Lab, Namespace, run};

/// Longest time of one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);
const END: &str = "@@end@@ ";

/// Files that machines exchange, and programs of this build.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Seen as `/exchange` by every machine: `www` is served by the web server, `router-tmp` is the router's `/tmp`.
    pub(crate) exchange: PathBuf,
    checkout: PathBuf,
    programs: PathBuf,
}

impl Shared {
    /// Places the programs, without their symbols: packages of them are compressed.
    pub(crate) fn new(lab: &Lab) -> Result<Self> {
        let exchange = lab.path("exchange");
        let programs = exchange.join("programs");
        for folder in ["www", "router-tmp", "pi", "programs"] {
            fs::create_dir_all(exchange.join(folder))?;
        }
        let Binaries { sensor, collector, .. } = &lab.binaries;
        for (from, name) in [(sensor, "sentinel"), (collector, "sentinel-collector"), (&image()?, "image")] {
            let to = programs.join(name);
            fs::copy(from, &to).with_context(|| from.display().to_string())?;
            let _with_symbols = run(Command::new("strip").arg(&to));
        }
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        Ok(Self { exchange, checkout, programs })
    }
}

/// The program that makes packages, built from this working tree.
fn image() -> Result<PathBuf> {
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--locked", "--package", "sentinel-image", "--message-format=json"]);
    let said = run(build.current_dir(env!("CARGO_MANIFEST_DIR")))?;
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let paths = artifacts.filter_map(|artifact| Some(artifact.get("executable")?.as_str()?.to_owned()));
    paths.map(PathBuf::from).next_back().context("no program of sentinel-image was built")
}

/// A shell on a machine; its processes end with it.
#[derive(Debug)]
pub(crate) struct Machine {
    shell: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Machine {
    /// A router: busybox, the stand-ins of `router/`, and settings as OpenWrt has them.
    pub(crate) fn router(lab: &Lab, shared: &Shared) -> Result<Self> {
        let folder = lab.path("router-root");
        make_router(&folder.join("root"), shared)?;
        let mut machine = Self::enter("router", &lab.network.router, &folder, shared)?;
        // Busybox has programs of these names, which its shell would prefer.
        for name in ["logger", "logread", "wget"] {
            machine.must(&format!("{name}() {{ /sbin/{name} \"$@\"; }}"))?;
        }
        machine.must("cd /root")?;
        Ok(machine)
    }

    /// A machine with Debian, in the directory where its user begins.
    pub(crate) fn debian(
        name: &str,
        at: &Namespace,
        lab: &Lab,
        shared: &Shared,
        begin: &str,
    ) -> Result<Self> {
        let folder = lab.path(&format!("{name}-root"));
        fs::create_dir_all(&folder)?;
        let mut machine = Self::enter("debian", at, &folder, shared)?;
        for name in ["sudo", "editor", "journalctl", "cargo", "scp"] {
            machine.must(&format!("ln -sf /stand-ins/stand-in /usr/local/bin/{name}"))?;
        }
        // Scripts of packages have a path of their own; images of containers start no services.
        machine.must("ln -sf /stand-ins/stand-in /usr/bin/systemctl; rm -f /usr/sbin/policy-rc.d")?;
        machine.must("ln -sf /stand-ins/stand-in /usr/bin/deb-systemd-invoke")?;
        machine.must("cp /exchange/programs/image /usr/local/bin/")?;
        machine.must("cp /stand-ins/cross.sh /usr/src/sentinel/ci/cross.sh")?;
        machine.must("echo '192.0.2.1 server.example' >>/etc/hosts; export PROGRAMS=/exchange/programs")?;
        machine.must("export PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LANG=C.UTF-8")?;
        machine.must(&format!("cd {begin}"))?;
        Ok(machine)
    }

    fn enter(kind: &str, at: &Namespace, folder: &Path, shared: &Shared) -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guides");
        let mut command = at.command("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--propagation", "private", "/bin/sh"])
            .arg(here.join("enter.sh"))
            .arg(kind)
            .arg(folder)
            .arg(&shared.exchange)
            .arg(&shared.checkout)
            .arg(here.join(kind))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut shell = command.spawn().with_context(|| format!("{command:?}"))?;
        let input = shell.stdin.take().context("a pipe")?;
        let output = BufReader::new(shell.stdout.take().context("a pipe")?);
        let (sender, lines) = channel();
        thread::spawn(move || {
            let bytes = output.split(b'\n').map_while(Result::ok);
            for line in bytes.map(|line| String::from_utf8_lossy(&line).into_owned()) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut machine = Self { shell, input, lines };
        machine.must("exec 2>&1")?;
        Ok(machine)
    }

    /// Runs a command in the shell; returns what it printed and its exit status.
    pub(crate) fn run(&mut self, command: &str) -> Result<(String, i32)> {
        // The braces keep the shell's own input from the command; the line feed ends a heredoc and a comment.
        write!(self.input, "{{ {command}\n}} </dev/null\nprintf '\\n{END}%s\\n' $?\n")?;
        self.input.flush()?;
        let mut said: Vec<String> = Vec::new();
        loop {
            let line = self.lines.recv_timeout(COMMAND_TIMEOUT);
            let line = line.with_context(|| format!("{command}: no end; so far: {}", said.join("\n")))?;
            if let Some(status) = line.strip_prefix(END) {
                // The line feed before the marker.
                if said.last().is_some_and(String::is_empty) {
                    said.pop();
                }
                return Ok((said.join("\n"), status.trim().parse()?));
            }
            said.push(line);
        }
    }

    /// Runs a command that has to succeed.
    pub(crate) fn must(&mut self, command: &str) -> Result<String> {
        let (said, status) = self.run(command)?;
        ensure!(status == 0, "{command}: status {status}: {said}");
        Ok(said)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The shell is the first process of its name space: the kernel ends the others with it.
        let _already_ended = self.shell.kill();
        let _reaped = self.shell.wait();
    }
}

/// Programs of busybox that a router has; `sh` is ash.
const APPLETS: &[&str] = &[
    "[",
    "ash",
    "awk",
    "basename",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "df",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "id",
    "kill",
    "killall",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mktemp",
    "mv",
    "ping",
    "printf",
    "ps",
    "pwd",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "vi",
    "wc",
    "which",
    "xargs",
    "zcat",
];

const STAND_INS: &[&str] = &[
    "service",
    "logger",
    "logread",
    "reload_config",
    "wget",
    "opkg",
    "opkg-key",
    "apk",
    "sysupgrade",
    "ubus",
];

fn make_router(root: &Path, shared: &Shared) -> Result<()> {
    for folder in [
        "bin",
        "sbin",
        "usr/bin",
        "usr/sbin",
        "etc/config",
        "etc/init.d",
        "etc/rc.d",
        "etc/uci-defaults",
        "etc/apk/keys",
        "etc/apk/repositories.d",
        "etc/opkg",
        "lib/upgrade/keep.d",
        "var/run",
        "var/log",
        "tmp",
        "root",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    let place = |from: &Path, to: &str| -> Result<()> {
        let to = root.join(to);
        fs::create_dir_all(to.parent().context("a directory")?)?;
        fs::copy(from, &to).with_context(|| from.display().to_string())?;
        Ok(fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?)
    };
    place(Path::new("/bin/busybox"), "bin/busybox")?;
    APPLETS.iter().try_for_each(|name| symlink("busybox", root.join("bin").join(name)))?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guides/router");
    place(&here.join("uci"), "sbin/uci")?;
    place(&here.join("rc.common"), "etc/rc.common")?;
    STAND_INS.iter().try_for_each(|name| symlink("/stand-ins/stand-in", root.join("sbin").join(name)))?;
    place(&shared.programs.join("image"), "usr/bin/image")?;
    // Programs of the development profile are linked with libraries of this machine.
    for program in ["image", "sentinel"] {
        let said = run(Command::new("ldd").arg(shared.programs.join(program))).unwrap_or_default();
        for library in said.split_whitespace().filter(|word| word.starts_with('/')) {
            place(Path::new(library), library.trim_start_matches('/'))?;
        }
    }
    let cpu = std::env::consts::ARCH;
    for (name, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n".to_owned()),
        ("etc/group", "root:x:0:\n".to_owned()),
        ("etc/hosts", "127.0.0.1 localhost\n192.0.2.1 server.example\n".to_owned()),
        ("etc/apk/arch", format!("{cpu}\n")),
        ("etc/openwrt_release", format!("DISTRIB_ID='OpenWrt'\nDISTRIB_TARGET='x86/64'\nDISTRIB_ARCH='{cpu}'\n")),
        ("etc/opkg/customfeeds.conf", "# own feeds\n".to_owned()),
        ("etc/sysupgrade.conf", "# files and directories to keep\n".to_owned()),
        ("etc/config/network", "config interface 'lan'\n\toption device 'br-lan'\n\toption proto 'static'\n".to_owned()),
        ("etc/config/firewall", "config defaults\n\toption input 'REJECT'\n\toption flow_offloading '1'\n\toption flow_offloading_hw '1'\n\nconfig zone\n\toption name 'lan'\n".to_owned()),
        ("var/log/messages", String::new()),
        ("var/run/reload-triggers", String::new()),
    ] {
        fs::write(root.join(name), text)?;
    }
    Ok(())
}
