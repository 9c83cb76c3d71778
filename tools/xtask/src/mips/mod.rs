//! Registers that Linux changes during a system call of MIPS, and code that relies on them all the same.
//!
//! Inline assembly must list every register that `syscall` changes. If one is missing, the compiler may keep a value in it, and the
//! program fails on a real kernel only: qemu-user preserves all registers. This check reads the finished program.

mod elf;
mod instruction;
mod walk;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use self::elf::Text;
use self::walk::Walk;
use crate::Verdict;

/// Follows the code after each `syscall` of the program `file`; fails if a register that the kernel changes is read before the
/// program has written it.
pub(crate) fn check(file: &Path) -> Result<Verdict> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let text = Text::of_elf(&bytes).with_context(|| file.display().to_string())?;
    verdict(&text)
}

fn verdict(text: &Text) -> Result<Verdict> {
    let (mut syscalls, mut followed, mut violations) = (0_usize, 0_usize, Vec::new());
    for syscall in text.addresses().filter(|address| text.word(*address) == Some(instruction::SYSCALL)) {
        let walk = Walk::from_syscall(text, syscall)?;
        syscalls = syscalls.saturating_add(1);
        followed = followed.saturating_add(walk.followed());
        violations.extend(walk.faults().iter().map(|fault| format!("{syscall:#010x}: {fault}")));
    }
    // Every program exits by a system call: without one the check has looked at the wrong bytes.
    ensure!(syscalls > 0, "no syscall instruction in .text");
    Ok(Verdict::of(violations, || {
        format!(
            "mips-syscalls: {syscalls} syscall instructions, {followed} after them: no register that Linux changes is read"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::elf::tests::program;
    use super::*;

    const SYSCALL: u32 = instruction::SYSCALL;
    const NOP: u32 = 0;
    /// jr $ra
    const RETURN: u32 = 0x03e0_0008;
    /// or $2,$1,$0
    const READ_AT: u32 = 0x0020_1025;
    /// addiu $1,$0,1
    const WRITE_AT: u32 = 0x2401_0001;

    /// Offences in `words`, which start at 0x00400000; they must be the same in both byte orders.
    fn violations(words: &[u32]) -> Vec<String> {
        let [big, little] = [true, false].map(|big_endian| {
            match verdict(&Text::of_elf(&program(big_endian, words)).unwrap()).unwrap() {
                Verdict::Passed(_) => Vec::new(),
                Verdict::Failed(violations) => violations,
            }
        });
        assert_eq!(big, little);
        big
    }

    #[test]
    fn a_read_of_the_assembler_register_after_a_syscall_is_found() {
        let planted = violations(&[SYSCALL, NOP, READ_AT, RETURN, NOP]);
        assert_eq!(planted, ["0x00400000: $1 is read at 0x00400008 before the program has written it"]);
        assert_eq!(violations(&[SYSCALL, NOP, WRITE_AT, READ_AT, RETURN, NOP]), [""; 0]);
        assert_eq!(violations(&[READ_AT, SYSCALL, RETURN, NOP]), [""; 0]);
    }

    #[test]
    fn every_register_that_linux_changes_is_watched_and_no_other() {
        for register in 1..32 {
            // or $2,register,$0
            let found = violations(&[SYSCALL, (register << 21) | 0x1025, RETURN, NOP]);
            let changed = matches!(register, 1 | 8..=15 | 24 | 25);
            assert_eq!(found.len(), usize::from(changed), "${register}: {found:?}");
        }
        // mfhi $2, mflo $2
        assert!(violations(&[SYSCALL, 0x1010, RETURN, NOP]).concat().contains(": hi is read at 0x00400004"));
        assert!(violations(&[SYSCALL, 0x1012, RETURN, NOP]).concat().contains(": lo is read at 0x00400004"));
    }

    #[test]
    fn both_sides_of_a_branch_are_followed() {
        // bnez $7 to the word with index 4: fall-through and taken side.
        let branch = 0x14e0_0002;
        assert_eq!(violations(&[SYSCALL, branch, NOP, READ_AT, RETURN, NOP]).len(), 1);
        assert_eq!(violations(&[SYSCALL, 0x14e0_0003, NOP, RETURN, NOP, READ_AT, RETURN, NOP]).len(), 1);
        assert_eq!(violations(&[SYSCALL, branch, NOP, WRITE_AT, READ_AT, RETURN, NOP]).len(), 1);
        assert_eq!(violations(&[SYSCALL, branch, WRITE_AT, NOP, READ_AT, RETURN, NOP]), [""; 0]);
    }

    #[test]
    fn delay_slots_run_before_the_target() {
        assert_eq!(violations(&[SYSCALL, RETURN, READ_AT]).len(), 1);
        // jal 0x00400000 and j 0x00400010
        let (call, jump) = (0x0c10_0000, 0x0810_0004);
        assert_eq!(violations(&[SYSCALL, call, READ_AT]).len(), 1);
        assert_eq!(violations(&[SYSCALL, jump, WRITE_AT, READ_AT, READ_AT, RETURN, NOP]), [""; 0]);
        assert_eq!(violations(&[SYSCALL, jump, NOP, WRITE_AT, READ_AT, RETURN, NOP]).len(), 1);
        // bnezl $7 to the word with index 4: on the other side its slot does not run.
        let likely = 0x54e0_0002;
        assert_eq!(violations(&[SYSCALL, likely, WRITE_AT, NOP, READ_AT, RETURN, NOP]).len(), 1);
        assert_eq!(violations(&[SYSCALL, likely, WRITE_AT, WRITE_AT, READ_AT, RETURN, NOP]), [""; 0]);
    }

    #[test]
    fn a_call_ends_the_walk_because_it_changes_the_same_registers() {
        let call = 0x0c10_0000;
        assert_eq!(violations(&[SYSCALL, call, NOP, READ_AT, RETURN, NOP]), [""; 0]);
        // jalr $25: the address of the call is itself in a register that Linux changes.
        assert_eq!(violations(&[SYSCALL, 0x0320_f809, NOP]).len(), 1);
    }

    #[test]
    fn a_loop_is_followed_once() {
        // addiu $2,$2,1; bnez $7 back to it; in the slot a read of $1
        assert_eq!(violations(&[SYSCALL, 0x2442_0001, 0x14e0_fffe, READ_AT, RETURN, NOP]).len(), 1);
        assert_eq!(violations(&[SYSCALL, 0x2442_0001, 0x14e0_fffe, NOP, RETURN, NOP]), [""; 0]);
    }

    #[test]
    fn an_unaligned_load_writes_the_register_in_two_halves() {
        // lwl $8,0($4), lwr $8,3($4), or $2,$8,$0
        let (left, right, read) = (0x8888_0000, 0x9888_0003, 0x0100_1025);
        assert_eq!(violations(&[SYSCALL, left, right, read, RETURN, NOP]), [""; 0]);
        assert_eq!(violations(&[SYSCALL, right, left, read, RETURN, NOP]), [""; 0]);
        assert_eq!(violations(&[SYSCALL, left, read, RETURN, NOP]).len(), 1);
        assert_eq!(violations(&[left, SYSCALL, right, read, RETURN, NOP]).len(), 1);
    }

    #[test]
    fn code_that_cannot_be_followed_is_an_error() {
        let error =
            |words: &[u32]| verdict(&Text::of_elf(&program(false, words)).unwrap()).unwrap_err().to_string();
        assert_eq!(error(&[RETURN, NOP]), "no syscall instruction in .text");
        assert_eq!(error(&[SYSCALL, NOP]), "0x00400008: not in .text");
        assert_eq!(error(&[SYSCALL, 0xffff_ffff]), "0x00400004: unknown instruction 0xffffffff");
        assert_eq!(error(&[RETURN, SYSCALL]), "0x00400004: syscall in a delay slot");
        assert_eq!(error(&[SYSCALL, RETURN, RETURN]), "0x00400008: branch in a delay slot");
    }
}
