//! The lists of [`super::calls`] compiled to classic BPF.
//!
//! Read first: `struct seccomp_data` in `linux/seccomp.h`.

use sentinel_filter::{Assembler, Instruction, Label, code};

use super::Unlisted;
use super::calls::{ALLOWED, CLONE3, Call, Check, Checked, FATAL, NONE, checked};

/// `SECCOMP_RET_ALLOW`
const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_KILL_PROCESS`; the calling thread alone before Linux 4.14.
const KILL: u32 = 0x8000_0000;
/// `SECCOMP_RET_TRAP`: the calling thread gets `SIGSYS`.
const TRAP: u32 = 0x0003_0000;
/// `SECCOMP_RET_ERRNO` with the error in its low half.
const ERROR: u32 = 0x0005_0000;
const EPERM: u32 = 1;
/// `X32_SYSCALL_BIT`: the 32-bit interface of x86-64 has its own numbers, with this bit, under the same architecture.
const X32: u32 = 0x4000_0000;

/// Fields of `struct seccomp_data`: number, architecture, instruction pointer, six arguments of 64 bits.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// System-call interface that a program is built for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Architecture {
    /// Index of its numbers in [`Call::numbers`].
    pub(super) column: usize,
    /// `AUDIT_ARCH_*`
    audit: u32,
    is_big_endian: bool,
}

const X86_64: Architecture = Architecture { column: 0, audit: 0xc000_003e, is_big_endian: false };
const AARCH64: Architecture = Architecture { column: 1, audit: 0xc000_00b7, is_big_endian: false };
const ARM: Architecture = Architecture { column: 2, audit: 0x4000_0028, is_big_endian: false };
const MIPSEL: Architecture = Architecture { column: 3, audit: 0x4000_0008, is_big_endian: false };
const MIPS: Architecture = Architecture { column: 3, audit: 0x0000_0008, is_big_endian: true };

/// Architecture of this program, if there is a table for it.
pub(super) const NATIVE: Option<Architecture> = {
    let is_big_endian = cfg!(target_endian = "big");
    if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        Some(X86_64)
    } else if cfg!(all(target_arch = "aarch64", target_endian = "little", target_pointer_width = "64")) {
        Some(AARCH64)
    } else if cfg!(all(target_arch = "arm", target_endian = "little")) {
        Some(ARM)
    } else if cfg!(target_arch = "mips") {
        Some(if is_big_endian { MIPS } else { MIPSEL })
    } else {
        None
    }
};

/// Numbers of the lists on one architecture.
struct Numbers {
    architecture: Architecture,
    allowed: [u32; ALLOWED.len()],
    fatal: [u32; FATAL.len()],
    clone3: u32,
    checked: [Checked; 7],
}

impl Numbers {
    /// Evaluated by the compiler for the program's own architecture, so that the other columns and the names take no space.
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks every index")]
    const fn of(architecture: Architecture) -> Self {
        let column = architecture.column;
        Self {
            architecture,
            allowed: pick(&ALLOWED, column),
            fatal: pick(&FATAL, column),
            clone3: CLONE3.numbers[column],
            checked: checked(architecture.column == MIPS.column),
        }
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks every index")]
const fn pick<const N: usize>(calls: &[Call; N], column: usize) -> [u32; N] {
    let mut numbers = [NONE; N];
    let mut index = 0;
    while index < N {
        numbers[index] = calls[index].numbers[column];
        index += 1;
    }
    numbers
}

/// Program for this architecture.
pub(super) fn native(unlisted: Unlisted) -> Option<Vec<Instruction>> {
    static NUMBERS: Option<Numbers> = match NATIVE {
        Some(architecture) => Some(Numbers::of(architecture)),
        None => None,
    };
    NUMBERS.as_ref().and_then(|numbers| compile(numbers, unlisted))
}

/// Labels of the returns that several tests share, at the end of the program.
#[derive(Clone, Copy)]
struct Returns {
    allow: Label,
    kill: Label,
    denied: Label,
    missing: Label,
}

/// Compiles the lists. `None` only if a distance does not fit a jump, which a test excludes for every architecture.
fn compile(numbers: &Numbers, unlisted: Unlisted) -> Option<Vec<Instruction>> {
    let mut out = Assembler::default();
    let returns =
        Returns { allow: out.label(), kill: out.label(), denied: out.label(), missing: out.label() };
    out.plain(code::LD_W_ABS, ARCHITECTURE);
    out.branch_unless(code::JEQ_K, numbers.architecture.audit, returns.kill);
    out.plain(code::LD_W_ABS, NUMBER);
    if numbers.architecture.column == X86_64.column {
        out.branch_if(code::JGE_K, X32, returns.kill);
    }
    let known = |list: &[u32]| list.iter().copied().filter(|number| *number != NONE).collect::<Vec<_>>();
    for number in known(&numbers.allowed) {
        out.branch_if(code::JEQ_K, number, returns.allow);
    }
    for checked in &numbers.checked {
        test(checked, numbers.architecture, returns, &mut out);
    }
    for number in known(&numbers.fatal) {
        out.branch_if(code::JEQ_K, number, returns.kill);
    }
    out.branch_if(code::JEQ_K, numbers.clone3, returns.missing);
    if unlisted != Unlisted::Fail {
        out.jump(returns.kill);
    }
    out.place(returns.missing);
    out.plain(code::RET_K, ERROR | enosys());
    out.place(returns.kill);
    out.plain(code::RET_K, stop(unlisted));
    out.place(returns.denied);
    out.plain(code::RET_K, ERROR | EPERM);
    out.place(returns.allow);
    out.plain(code::RET_K, ALLOW);
    out.finish().ok()
}

/// Result for a call that ends the process.
const fn stop(unlisted: Unlisted) -> u32 {
    match unlisted {
        Unlisted::Kill => KILL,
        Unlisted::Fail | Unlisted::End => TRAP,
    }
}

/// Appends the test of one call with its argument. A call with another number goes on behind it.
fn test(checked: &Checked, architecture: Architecture, returns: Returns, out: &mut Assembler) {
    let number = checked.call.numbers.get(architecture.column).copied().unwrap_or(NONE);
    if number == NONE {
        return;
    }
    let other = out.label();
    out.branch_unless(code::JEQ_K, number, other);
    // The kernel takes 32 bits of each of these arguments. The low half is the second one on a big-endian machine.
    let low = if architecture.is_big_endian { 4 } else { 0 };
    let load = |argument: u8| ARGUMENTS + u32::from(argument) * 8 + low;
    out.plain(code::LD_W_ABS, load(checked.argument));
    match checked.check {
        Check::OneOf(values) => {
            for value in values {
                out.branch_if(code::JEQ_K, *value, returns.allow);
            }
            out.jump(returns.denied);
        }
        Check::Socket(families, of_internet) => {
            for family in families {
                out.branch_if(code::JEQ_K, *family, returns.allow);
            }
            let internet = out.label();
            for family in of_internet {
                out.branch_if(code::JEQ_K, *family, internet);
            }
            out.jump(returns.denied);
            out.place(internet);
            // The type is the next argument; SOCK_RAW, 3, has both bits, a datagram and a stream have one of them.
            out.plain(code::LD_W_ABS, load(checked.argument + 1));
            out.branch_unless(code::JSET_K, 1, returns.allow);
            out.branch_if(code::JSET_K, 2, returns.denied);
            out.jump(returns.allow);
        }
        Check::Bits(required, forbidden) => {
            out.branch_if(code::JSET_K, forbidden, returns.denied);
            if required != 0 {
                out.branch_unless(code::JSET_K, required, returns.denied);
            }
            out.jump(returns.allow);
        }
    }
    out.place(other);
}

/// `ENOSYS`, which MIPS numbers differently.
fn enosys() -> u32 {
    u32::try_from(rustix::io::Errno::NOSYS.raw_os_error()).unwrap_or(EPERM)
}

#[cfg(test)]
mod tests {
    use sentinel_filter::{Packet, Program};

    use super::*;

    const ALL: [Architecture; 5] = [X86_64, AARCH64, ARM, MIPSEL, MIPS];

    /// Result of the program for a call, in an interpreter that loads big-endian words: each word of the structure is
    /// written so, and the halves of an argument are ordered as on the architecture.
    fn result(
        program: &Program,
        architecture: Architecture,
        audit: u32,
        number: u32,
        arguments: [u64; 6],
    ) -> u32 {
        let mut words = vec![number, audit, 0, 0];
        for argument in arguments {
            let halves =
                [u32::try_from(argument >> 32).unwrap(), u32::try_from(argument & 0xffff_ffff).unwrap()];
            let [high, low] = halves;
            words.extend(if architecture.is_big_endian { [high, low] } else { [low, high] });
        }
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        program.run(&Packet { bytes: &bytes, wire_len: 64, vlan: None })
    }

    fn compiled(architecture: Architecture, unlisted: Unlisted) -> Program {
        let lines = compile(&Numbers::of(architecture), unlisted).expect("all jumps are short");
        assert!(lines.len() < 256, "{} instructions", lines.len());
        Program::new(lines).unwrap()
    }

    #[test]
    fn every_list_has_its_effect_on_every_architecture() {
        for architecture in ALL {
            for unlisted in [Unlisted::Fail, Unlisted::End, Unlisted::Kill] {
                let fatal = stop(unlisted);
                let program = compiled(architecture, unlisted);
                let run = |number| result(&program, architecture, architecture.audit, number, [0; 6]);
                let known = |call: &&Call| call.numbers[architecture.column] != NONE;
                for call in ALLOWED.iter().filter(known) {
                    assert_eq!(
                        run(call.numbers[architecture.column]),
                        ALLOW,
                        "{} {architecture:?}",
                        call.name
                    );
                }
                for call in FATAL.iter().filter(known) {
                    assert_eq!(
                        run(call.numbers[architecture.column]),
                        fatal,
                        "{} {architecture:?}",
                        call.name
                    );
                }
                assert_eq!(run(CLONE3.numbers[architecture.column]), ERROR | enosys());
                let expected = if unlisted == Unlisted::Fail { ERROR | enosys() } else { fatal };
                for number in [5_000, 900, 0x2fff_ffff, NONE] {
                    let is_x32 = architecture == X86_64 && number >= X32;
                    assert_eq!(
                        run(number),
                        if is_x32 { fatal } else { expected },
                        "{number} {architecture:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn other_system_call_interfaces_are_fatal() {
        for architecture in ALL {
            let program = compiled(architecture, Unlisted::Kill);
            for other in ALL.iter().filter(|other| other.audit != architecture.audit) {
                assert_eq!(
                    result(
                        &program,
                        architecture,
                        other.audit,
                        ALLOWED[0].numbers[architecture.column],
                        [0; 6]
                    ),
                    KILL
                );
            }
        }
        let program = compiled(X86_64, Unlisted::Kill);
        assert_eq!(result(&program, X86_64, X86_64.audit, X32, [0; 6]), KILL, "read of x32");
        let i386 = 0x4000_0003;
        assert_eq!(result(&program, X86_64, i386, 3, [0; 6]), KILL, "read of i386");
    }

    #[test]
    fn arguments_are_checked_in_their_low_half() {
        for architecture in ALL {
            let program = compiled(architecture, Unlisted::Kill);
            let run = |name: &str, value: u64| {
                let list = checked(architecture.column == MIPS.column);
                let found = list.iter().find(|checked| checked.call.name == name).unwrap();
                let number = found.call.numbers[architecture.column];
                let mut arguments = [0xffff_ffff_ffff_ffff; 6];
                arguments[usize::from(found.argument)] = value;
                (number != NONE)
                    .then(|| result(&program, architecture, architecture.audit, number, arguments))
            };
            let (allowed, denied) = (Some(ALLOW), Some(ERROR | EPERM));
            assert_eq!(run("socket", 17), allowed);
            assert_eq!(run("socket", 38), denied);
            let number = checked(false)[0].call.numbers[architecture.column];
            let socket = |family, kind| {
                result(&program, architecture, architecture.audit, number, [family, kind, 0, 0, 0, 0])
            };
            const NONBLOCKING: u64 = 0x8_0800;
            for family in [2, 10] {
                assert_eq!(
                    [1, 2, 1 | NONBLOCKING, 2 | NONBLOCKING].map(|kind| socket(family, kind)),
                    [ALLOW; 4]
                );
                assert_eq!(
                    [3, 3 | NONBLOCKING].map(|kind| socket(family, kind)),
                    [ERROR | EPERM; 2],
                    "SOCK_RAW"
                );
            }
            assert_eq!([1, 16, 17].map(|family| socket(family, 3)), [ALLOW; 3]);
            assert_eq!(run("clone", 0x003d_0f00), allowed, "flags of pthread_create");
            assert_eq!(run("clone", 17), denied, "fork");
            assert_eq!(run("clone", 0x103d_0f00), denied, "a name space");
            assert_eq!(run("mprotect", 3), allowed);
            assert_eq!(run("mprotect", 7), denied);
            let map = if run("mmap2", 0).is_some() { "mmap2" } else { "mmap" };
            assert_eq!((run(map, 3), run(map, 5)), (allowed, denied));
            assert_eq!((run("prctl", 15), run("prctl", 22)), (allowed, denied));
            let nonblocking = if architecture.column == MIPS.column { 0x667e } else { 0x5421 };
            assert_eq!((run("ioctl", nonblocking), run("ioctl", 0x5412)), (allowed, denied), "TIOCSTI");
            assert_eq!(run("socket", 0x1_0000_0011), allowed, "the kernel takes 32 bits");
        }
    }
}
