//! Names that distributions give to CPUs, and the program for each: `config/architectures.toml`.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::elf::{self, Cpu};

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boards {
    /// Programs of `ci/cross.sh`.
    #[serde(rename = "program")]
    pub programs: Vec<Program>,
    refused: Vec<Refused>,
}

/// One program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Target triple, the folder below `dist/`.
    pub triple: String,
    /// Names of OpenWrt.
    pub openwrt: Vec<String>,
    /// Name of Debian.
    pub debian: Option<String>,
    /// Files of `config/boards` without their ending: targets of OpenWrt that run it.
    #[serde(default)]
    pub boards: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    names: Vec<String>,
    reason: String,
}

impl Boards {
    /// Reads the table of a checkout.
    ///
    /// # Errors
    /// If it cannot be read, or names something twice.
    pub fn read(repository: &Path) -> Result<Self> {
        let path = repository.join("config/architectures.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads the text of the table.
    ///
    /// # Errors
    /// If it is malformed, or names something twice.
    pub fn parse(text: &str) -> Result<Self> {
        let boards: Self = toml::from_str(text)?;
        let mut names = Vec::new();
        for program in &boards.programs {
            cpu_of_triple(&program.triple)?;
            names.extend(program.openwrt.iter().chain(&program.debian));
        }
        names.extend(boards.refused.iter().flat_map(|refused| &refused.names));
        names.sort();
        if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
            bail!("{name} is there twice");
        }
        Ok(boards)
    }

    /// Program for a name of OpenWrt or Debian.
    ///
    /// # Errors
    /// If its CPU cannot run any, with the reason, or if the name is not known.
    pub fn program(&self, name: &str) -> Result<&Program> {
        let has = |program: &&Program| {
            program.openwrt.iter().any(|known| known == name) || program.debian.as_deref() == Some(name)
        };
        if let Some(program) = self.programs.iter().find(has) {
            return Ok(program);
        }
        if let Some(refused) =
            self.refused.iter().find(|refused| refused.names.iter().any(|known| known == name))
        {
            bail!("{name}: {}", refused.reason);
        }
        bail!("{name}: not in config/architectures.toml; `image architectures` lists the names");
    }

    /// Checks that a program runs on the devices that a name stands for.
    ///
    /// # Errors
    /// If it is for another CPU, or no program is for these devices.
    pub fn check(&self, architecture: &str, program: &[u8]) -> Result<()> {
        let wanted = cpu_of_triple(&self.program(architecture)?.triple)?;
        let found = elf::cpu(program)?;
        ensure!(found == wanted, "{architecture} has {wanted}, but the program is for {found}");
        Ok(())
    }

    /// The table for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for program in &self.programs {
            for name in program.openwrt.iter().chain(&program.debian) {
                lines.push(format!("{name:28} {}\n", program.triple));
            }
        }
        for refused in &self.refused {
            lines.extend(refused.names.iter().map(|name| format!("{name:28} refused: {}\n", refused.reason)));
        }
        lines.concat()
    }
}

fn cpu_of_triple(triple: &str) -> Result<Cpu> {
    Ok(match triple.split('-').next().unwrap_or_default() {
        "mips" => Cpu::Mips { big_endian: true },
        "mipsel" => Cpu::Mips { big_endian: false },
        "armv7" => Cpu::Arm { hard_float: true },
        "aarch64" => Cpu::Aarch64,
        "x86_64" => Cpu::X86_64,
        _ => bail!("{triple}: no target of ci/cross.sh"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Result<Boards> {
        Boards::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
    }

    #[test]
    fn one_program_serves_several_names() -> Result<()> {
        let boards = table()?;
        for (name, triple) in [
            ("mips_24kc", "mips-unknown-linux-musl"),
            ("mipsel_74kc", "mipsel-unknown-linux-musl"),
            ("arm_cortex-a9_vfpv3-d16", "armv7-unknown-linux-musleabihf"),
            ("aarch64_cortex-a53", "aarch64-unknown-linux-musl"),
            ("amd64", "x86_64-unknown-linux-musl"),
        ] {
            assert_eq!(boards.program(name)?.triple, triple);
        }
        Ok(())
    }

    /// A file that no package has would never be taken.
    #[test]
    fn every_board_is_in_one_package() -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/boards");
        let mut files: Vec<String> = std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().trim_end_matches(".conf").to_owned()))
            .collect::<Result<_>>()?;
        let mut named: Vec<String> =
            table()?.programs.iter().flat_map(|program| program.boards.clone()).collect();
        files.sort();
        named.sort();
        assert_eq!(files, named);
        Ok(())
    }

    #[test]
    fn names_whose_cpu_cannot_run_it_are_refused_with_the_reason() -> Result<()> {
        let boards = table()?;
        for (name, reason) in [
            ("arm_cortex-a9", "floating-point unit"),
            ("arm_cortex-a7", "floating-point unit"),
            ("mips_mips32", "release 1"),
            ("riscv64_generic", "no program"),
            ("mipsel_24k", "not in config"),
        ] {
            let error = boards.program(name).err().context("refused")?.to_string();
            assert!(error.contains(reason) && error.contains(name), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_program_for_another_cpu_is_named() -> Result<()> {
        let boards = table()?;
        let little = elf::head_of(Cpu::Mips { big_endian: false });
        boards.check("mipsel_24kc", &little)?;
        let error = boards.check("mips_24kc", &little).err().context("refused")?.to_string();
        assert_eq!(error, "mips_24kc has big-endian MIPS, but the program is for little-endian MIPS");
        let error =
            boards.check("armhf", &elf::head_of(Cpu::Arm { hard_float: false })).err().context("refused")?;
        assert!(error.to_string().contains("without a floating-point unit"), "{error}");
        Ok(())
    }

    #[test]
    fn a_name_that_is_there_twice_is_an_error() {
        let text = "refused = []\n[[program]]\ntriple = \"mips-x\"\nopenwrt = [\"a\", \"b\", \"a\"]\n";
        assert!(Boards::parse(text).is_err());
    }
}
