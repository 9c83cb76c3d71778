//! Sections `.text` and `.text.*` of a 32-bit ELF program for MIPS.
//!
//! Read first: System V ABI, chapter 4 (ELF header, section header); the MIPS processor supplement for `EM_MIPS`.

use anyhow::{Context, Result, ensure};

const EM_MIPS: u16 = 8;
const ELFCLASS32: u8 = 1;
const ELFDATA2MSB: u8 = 2;
/// `e_flags`: the program contains instructions of microMIPS or MIPS16, which are two bytes long.
const SHORT_INSTRUCTIONS: u32 = 0x0600_0000;

/// Instructions of one program.
#[derive(Debug)]
pub(super) struct Text {
    parts: Vec<Part>,
}

/// Instructions of one section.
#[derive(Debug)]
struct Part {
    /// Address of the first instruction, a multiple of four.
    start: u32,
    words: Vec<u32>,
}

impl Text {
    /// Takes the sections out of an ELF file of either byte order.
    pub(super) fn of_elf(file: &[u8]) -> Result<Self> {
        ensure!(file.starts_with(b"\x7fELF") && file.get(4) == Some(&ELFCLASS32), "not a 32-bit ELF file");
        let reader = Reader { file, big_endian: file.get(5) == Some(&ELFDATA2MSB) };
        let machine = reader.half(0x12)?;
        ensure!(machine == EM_MIPS, "machine {machine} is not MIPS");
        ensure!(reader.word(0x24)? & SHORT_INSTRUCTIONS == 0, "microMIPS and MIPS16 are not supported");
        let names = reader.section(reader.half(0x32)?)?;
        let names = reader.bytes(reader.word(names + 0x10)?, reader.word(names + 0x14)?)?;
        let mut parts = Vec::new();
        for index in 0..reader.half(0x30)? {
            let header = reader.section(index)?;
            let name = names.get(index_of(reader.word(header)?)..).unwrap_or_default();
            if name.starts_with(b".text\0") || name.starts_with(b".text.") {
                parts.push(reader.text(header)?);
            }
        }
        ensure!(!parts.is_empty(), "no section .text");
        Ok(Self { parts })
    }

    /// Address of each instruction.
    pub(super) fn addresses(&self) -> impl Iterator<Item = u32> + '_ {
        self.parts.iter().flat_map(|part| (part.start..).step_by(4).take(part.words.len()))
    }

    /// The instruction at `address`, if it is within a section.
    pub(super) fn word(&self, address: u32) -> Option<u32> {
        self.parts.iter().find_map(|part| {
            let offset = address.checked_sub(part.start)?;
            part.words.get(index_of(offset / 4)).copied()
        })
    }
}

/// Numbers of an ELF file in its own byte order.
struct Reader<'f> {
    file: &'f [u8],
    big_endian: bool,
}

impl<'f> Reader<'f> {
    fn half(&self, offset: u32) -> Result<u16> {
        let bytes = self.bytes(offset, 2)?.try_into()?;
        Ok(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn word(&self, offset: u32) -> Result<u32> {
        self.number(self.bytes(offset, 4)?)
    }

    fn number(&self, bytes: &[u8]) -> Result<u32> {
        let bytes = bytes.try_into()?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn bytes(&self, offset: u32, len: u32) -> Result<&'f [u8]> {
        let end = offset.checked_add(len).context("a length in the ELF file overflows")?;
        self.file.get(index_of(offset)..index_of(end)).context("the ELF file is truncated")
    }

    /// Offset of the section header with this index.
    fn section(&self, index: u16) -> Result<u32> {
        let size = u32::from(self.half(0x2e)?);
        let offset =
            u32::from(index).checked_mul(size).and_then(|offset| offset.checked_add(self.word(0x20).ok()?));
        // Room for a whole header, so that the callers' offsets within it cannot overflow.
        offset.filter(|offset| offset.checked_add(0x28).is_some()).context("a section header is out of range")
    }

    fn text(&self, header: u32) -> Result<Part> {
        let start = self.word(header + 0x0c)?;
        let bytes = self.bytes(self.word(header + 0x10)?, self.word(header + 0x14)?)?;
        ensure!(
            start.is_multiple_of(4) && bytes.len().is_multiple_of(4),
            ".text is not aligned to four bytes"
        );
        let words = bytes.chunks_exact(4).map(|bytes| self.number(bytes)).collect::<Result<_>>()?;
        Ok(Part { start, words })
    }
}

/// An offset as an index; one that does not fit is past the end of every slice.
fn index_of(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with the sections null, `.shstrtab` and `.text` in that order; `.text` starts at 0x00400000.
    pub(in crate::mips) fn program(big_endian: bool, words: &[u32]) -> Vec<u8> {
        const NAMES: &[u8; 20] = b"\0.shstrtab\0.text\0\0\0\0";
        let half = |number: u16| if big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let word = |number: u32| if big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        let len = u32::try_from(words.len() * 4).unwrap();
        let mut file =
            vec![0x7f, b'E', b'L', b'F', 1, if big_endian { 2 } else { 1 }, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend([half(2), half(EM_MIPS)].concat());
        // e_version, e_entry, e_phoff, e_shoff (after this header), e_flags
        file.extend([1, 0x0040_0000, 0, 52, 0].map(word).concat());
        // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
        file.extend([52, 0, 0, 40, 3, 1].map(half).concat());
        // Each: name, type, flags, address, offset, size, link, info, alignment, entry size
        file.extend([0_u32; 10].map(word).concat());
        file.extend([1, 3, 0, 0, 172, 20, 0, 0, 1, 0].map(word).concat());
        file.extend([11, 1, 6, 0x0040_0000, 192, len, 0, 0, 4, 0].map(word).concat());
        file.extend(NAMES);
        file.extend(words.iter().flat_map(|instruction| word(*instruction)));
        file
    }

    #[test]
    fn text_is_read_in_both_byte_orders() {
        for big_endian in [true, false] {
            let text = Text::of_elf(&program(big_endian, &[0x0102_0304, 12])).unwrap();
            assert_eq!(text.addresses().collect::<Vec<_>>(), [0x0040_0000, 0x0040_0004]);
            let words =
                [0x003f_fffc, 0x0040_0000, 0x0040_0004, 0x0040_0008].map(|address| text.word(address));
            assert_eq!(words, [None, Some(0x0102_0304), Some(12), None]);
        }
    }

    #[test]
    fn sections_of_code_that_is_placed_apart_are_read_too() {
        let mut file = program(true, &[12]);
        let name = file.windows(6).position(|bytes| bytes == b".text\0").unwrap();
        file.get_mut(name + 5..name + 7).unwrap().copy_from_slice(b".c");
        assert_eq!(Text::of_elf(&file).unwrap().word(0x0040_0000), Some(12));
        let part = |start, word| Part { start, words: vec![word] };
        let text = Text { parts: vec![part(0x1000, 1), part(0x2000, 2)] };
        assert_eq!(text.addresses().collect::<Vec<_>>(), [0x1000, 0x2000]);
        let words = [0xffc, 0x1000, 0x1004, 0x2000, 0x2004].map(|address| text.word(address));
        assert_eq!(words, [None, Some(1), None, Some(2), None]);
    }

    #[test]
    fn every_cut_of_a_file_is_an_error() {
        let file = program(true, &[12]);
        for len in 0..file.len() {
            assert!(Text::of_elf(file.get(..len).unwrap()).is_err(), "{len}");
        }
        assert!(Text::of_elf(&file).is_ok());
    }

    #[test]
    fn files_for_other_machines_are_rejected() {
        let changed = |offset: usize, byte: u8| {
            let mut file = program(false, &[12]);
            *file.get_mut(offset).unwrap() = byte;
            Text::of_elf(&file).unwrap_err().to_string()
        };
        assert_eq!(changed(4, 2), "not a 32-bit ELF file");
        assert_eq!(changed(0x12, 40), "machine 40 is not MIPS");
        assert_eq!(changed(0x27, 2), "microMIPS and MIPS16 are not supported");
        assert_eq!(changed(0x34 + 80, 1), "no section .text");
    }
}
