//! Who else reads a capture: other programs, and what they are told.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that we are measured against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Name in results.
    pub(crate) name: &'static str,
    program: &'static str,
    /// What it is told: `FILE` stands for the capture, `DIR` for a directory of its own.
    arguments: &'static [&'static str],
}

/// Name of the one that everything is compared with.
pub(crate) const REFERENCE: &str = "tcpdump-write";

/// Every one, cheap ones first. None resolves names, none sends anything, all leave their files in `DIR`.
pub(crate) const PEERS: [Peer; 11] = [
    Peer { name: REFERENCE, program: "tcpdump", arguments: &["-n", "-r", "FILE", "-w", "/dev/null"] },
    Peer {
        name: "tcpdump-no-match",
        program: "tcpdump",
        // A network for documentation (RFC 5737) and a protocol number for experiments (RFC 3692): in no capture.
        arguments: &["-n", "-r", "FILE", "ip proto 254 and host 192.0.2.254"],
    },
    Peer {
        name: "darkstat",
        program: "darkstat",
        arguments: &["-r", "FILE", "--no-dns", "--chroot", "DIR", "--user", "root"],
    },
    Peer {
        name: "softflowd",
        program: "softflowd",
        arguments: &["-d", "-r", "FILE", "-p", "DIR/pid", "-c", "none"],
    },
    Peer { name: "p0f", program: "p0f", arguments: &["-r", "FILE"] },
    Peer { name: "ndpiReader", program: "ndpiReader", arguments: &["-q", "-i", "FILE"] },
    Peer {
        name: "suricata-no-rules",
        program: "suricata",
        arguments: &["-r", "FILE", "-l", "DIR", "-S", "/dev/null", "--runmode", "single"],
    },
    Peer {
        name: "suricata",
        program: "suricata",
        arguments: &["-r", "FILE", "-l", "DIR", "--runmode", "single"],
    },
    Peer { name: "zeek", program: "zeek", arguments: &["-C", "-r", "FILE"] },
    Peer {
        name: "snort",
        program: "snort",
        arguments: &["-q", "-c", "/etc/snort/snort.lua", "-l", "DIR", "-r", "FILE"],
    },
    Peer { name: "tshark", program: "tshark", arguments: &["-n", "-r", "FILE"] },
];

impl Peer {
    /// Where it is installed, if it is. Those of `/usr/sbin` count too, whoever asks.
    pub(crate) fn installed(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let more = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .chain(more)
            .map(|directory| directory.join(self.program))
            .find(|file| file.is_file())
    }

    /// The command that reads `file`, in `directory`.
    pub(crate) fn command(&self, program: &Path, file: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory);
        command.args(self.arguments.iter().map(|word| -> OsString {
            match word.strip_prefix("DIR") {
                _ if *word == "FILE" => file.into(),
                Some("") => directory.into(),
                Some(below) => directory.join(below.trim_start_matches('/')).into(),
                None => word.into(),
            }
        }));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_directory_are_filled_in() {
        let softflowd = PEERS.iter().find(|peer| peer.name == "softflowd").unwrap();
        let command = softflowd.command(Path::new("/bin/x"), Path::new("/a/b.pcap"), Path::new("/tmp/d"));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words, ["-d", "-r", "/a/b.pcap", "-p", "/tmp/d/pid", "-c", "none"]);
        assert!(PEERS.iter().any(|peer| peer.name == REFERENCE));
    }
}
