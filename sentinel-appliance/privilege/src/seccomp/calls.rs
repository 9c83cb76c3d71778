//! System calls by purpose, with their numbers on each architecture.
//!
//! Read first: `asm/unistd.h` of each architecture; `arch/mips/kernel/syscalls/syscall_o32.tbl` of the kernel.
//!
//! Each list names what the standard library, rustix, musl and glibc make of one purpose, so that a build against another C
//! library, or on a kernel without a newer call, needs no other list. Where a 32-bit architecture has a second call for 64-bit
//! times or offsets, both are here.

/// Number of a call that an architecture does not have.
pub(super) const NONE: u32 = u32::MAX;

/// System call with its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Name, for tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "the program needs the numbers only"))]
    pub(super) name: &'static str,
    /// Numbers by [`Architecture::column`]: x86-64, aarch64, ARM EABI, MIPS o32.
    ///
    /// [`Architecture::column`]: super::program::Architecture
    pub(super) numbers: [u32; 4],
}

const fn call(name: &'static str, numbers: [u32; 4]) -> Call {
    Call { name, numbers }
}

/// Calls that are allowed with any arguments.
pub(super) const ALLOWED: [Call; 134] = [
    // Waiting: the reactor of the control thread and the workers wait for descriptors, timers and each other. First, because a
    // kernel before 5.11 runs the program for each call, and these are the most frequent.
    call("poll", [7, NONE, 168, 4188]),
    call("ppoll", [271, 73, 336, 4302]),
    call("ppoll_time64", [NONE, NONE, 414, 4414]),
    call("futex", [202, 98, 240, 4238]),
    call("futex_time64", [NONE, NONE, 422, 4422]),
    call("epoll_wait", [232, NONE, 252, 4250]),
    call("epoll_pwait", [281, 22, 346, 4313]),
    call("epoll_pwait2", [441, 441, 441, 4441]),
    call("clock_nanosleep", [230, 115, 265, 4265]),
    call("clock_nanosleep_time64", [NONE, NONE, 407, 4407]),
    call("nanosleep", [35, 101, 162, 4166]),
    call("clock_gettime", [228, 113, 263, 4263]),
    call("clock_gettime64", [NONE, NONE, 403, 4403]),
    call("epoll_ctl", [233, 21, 251, 4249]),
    call("epoll_create1", [291, 20, 357, 4326]),
    call("eventfd2", [290, 19, 356, 4325]),
    call("timerfd_create", [283, 85, 350, 4321]),
    call("timerfd_settime", [286, 86, 353, 4323]),
    call("timerfd_settime64", [NONE, NONE, 411, 4411]),
    call("gettimeofday", [96, 169, 78, 4078]),
    call("time", [201, NONE, NONE, 4013]),
    call("clock_getres", [229, 114, 264, 4264]),
    call("clock_getres_time64", [NONE, NONE, 406, 4406]),
    call("sched_yield", [24, 124, 158, 4162]),
    call("restart_syscall", [219, 128, 0, 4253]),
    // Bytes of files, sockets, pipes and standard error.
    call("read", [0, 63, 3, 4003]),
    call("write", [1, 64, 4, 4004]),
    call("readv", [19, 65, 145, 4145]),
    call("writev", [20, 66, 146, 4146]),
    call("pread64", [17, 67, 180, 4200]),
    call("pwrite64", [18, 68, 181, 4201]),
    call("lseek", [8, 62, 19, 4019]),
    call("_llseek", [NONE, NONE, 140, 4140]),
    call("close", [3, 57, 6, 4006]),
    call("pipe2", [293, 59, 359, 4328]),
    // Sockets: rings that are opened again, netlink, the collector, name resolution, local sockets. `socket` is below.
    call("bind", [49, 200, 282, 4169]),
    call("connect", [42, 203, 283, 4170]),
    call("listen", [50, 201, 284, 4174]),
    call("accept", [43, 202, 285, 4168]),
    call("accept4", [288, 242, 366, 4334]),
    call("getsockname", [51, 204, 286, 4172]),
    call("getpeername", [52, 205, 287, 4171]),
    call("getsockopt", [55, 209, 295, 4173]),
    call("setsockopt", [54, 208, 294, 4181]),
    call("send", [NONE, NONE, 289, 4178]),
    call("recv", [NONE, NONE, 291, 4175]),
    call("sendto", [44, 206, 290, 4180]),
    call("recvfrom", [45, 207, 292, 4176]),
    call("sendmsg", [46, 211, 296, 4179]),
    call("recvmsg", [47, 212, 297, 4177]),
    call("sendmmsg", [307, 269, 374, 4343]),
    call("shutdown", [48, 210, 293, 4182]),
    call("socketpair", [53, 199, 288, 4184]),
    // Files: keys, enrollment, log and journal; settings at a reload; counters in /proc, names in /sys.
    call("openat", [257, 56, 322, 4288]),
    call("open", [2, NONE, 5, 4005]),
    call("openat2", [437, 437, 437, 4437]),
    call("fstat", [5, 80, 108, 4108]),
    call("fstat64", [NONE, NONE, 197, 4215]),
    call("stat", [4, NONE, 106, 4106]),
    call("stat64", [NONE, NONE, 195, 4213]),
    call("lstat", [6, NONE, 107, 4107]),
    call("lstat64", [NONE, NONE, 196, 4214]),
    call("newfstatat", [262, 79, NONE, NONE]),
    call("fstatat64", [NONE, NONE, 327, 4293]),
    call("statx", [332, 291, 397, 4366]),
    call("access", [21, NONE, 33, 4033]),
    call("faccessat", [269, 48, 334, 4300]),
    call("faccessat2", [439, 439, 439, 4439]),
    call("readlink", [89, NONE, 85, 4085]),
    call("readlinkat", [267, 78, 332, 4298]),
    call("unlink", [87, NONE, 10, 4010]),
    call("unlinkat", [263, 35, 328, 4294]),
    call("rmdir", [84, NONE, 40, 4040]),
    call("rename", [82, NONE, 38, 4038]),
    call("renameat", [264, 38, 329, 4295]),
    call("renameat2", [316, 276, 382, 4351]),
    call("link", [86, NONE, 9, 4009]),
    call("linkat", [265, 37, 330, 4296]),
    call("mkdir", [83, NONE, 39, 4039]),
    call("mkdirat", [258, 34, 323, 4289]),
    call("ftruncate", [77, 46, 93, 4093]),
    call("ftruncate64", [NONE, NONE, 194, 4212]),
    call("fallocate", [285, 47, 352, 4320]),
    call("fsync", [74, 82, 118, 4118]),
    call("fdatasync", [75, 83, 148, 4152]),
    call("flock", [73, 32, 143, 4143]),
    call("fcntl", [72, 25, 55, 4055]),
    call("fcntl64", [NONE, NONE, 221, 4220]),
    call("fchmod", [91, 52, 94, 4094]),
    call("umask", [95, 166, 60, 4060]),
    call("getdents64", [217, 61, 217, 4219]),
    call("dup", [32, 23, 41, 4041]),
    call("getcwd", [79, 17, 183, 4203]),
    call("statfs", [137, 43, 99, 4099]),
    call("fstatfs", [138, 44, 100, 4100]),
    call("statfs64", [NONE, NONE, 266, 4255]),
    call("fstatfs64", [NONE, NONE, 267, 4256]),
    // Memory: the allocator, stacks of threads. `mmap` and `mprotect` are below.
    call("munmap", [11, 215, 91, 4091]),
    call("mremap", [25, 216, 163, 4167]),
    call("madvise", [28, 233, 220, 4218]),
    call("brk", [12, 214, 45, 4045]),
    // Threads and signals: name resolution starts a thread for each look-up. `clone` is below.
    call("set_robust_list", [273, 99, 338, 4309]),
    call("rseq", [334, 293, 398, 4367]),
    call("set_tid_address", [218, 96, 256, 4252]),
    call("gettid", [186, 178, 224, 4222]),
    call("getpid", [39, 172, 20, 4020]),
    call("membarrier", [324, 283, 389, 4358]),
    call("exit", [60, 93, 1, 4001]),
    call("exit_group", [231, 94, 248, 4246]),
    call("tgkill", [234, 131, 268, 4266]),
    call("tkill", [200, 130, 238, 4236]),
    call("sched_getaffinity", [204, 123, 242, 4240]),
    call("sigaltstack", [131, 132, 186, 4206]),
    call("rt_sigaction", [13, 134, 174, 4194]),
    call("rt_sigprocmask", [14, 135, 175, 4195]),
    call("rt_sigreturn", [15, 139, 173, 4193]),
    call("sigreturn", [NONE, NONE, 119, 4119]),
    call("set_thread_area", [NONE, NONE, NONE, 4283]),
    call("set_tls", [NONE, NONE, 0xf0005, NONE]),
    call("cacheflush", [NONE, NONE, 0xf0002, 4147]),
    // Facts: random numbers for keys and backoff, host name, limits and identity.
    call("getrandom", [318, 278, 384, 4353]),
    call("uname", [63, 160, 122, 4122]),
    call("sysinfo", [99, 179, 116, 4116]),
    call("prlimit64", [302, 261, 369, 4338]),
    call("getrlimit", [97, 163, NONE, 4076]),
    call("ugetrlimit", [NONE, NONE, 191, NONE]),
    call("getuid", [102, 174, 24, 4024]),
    call("getuid32", [NONE, NONE, 199, NONE]),
    call("geteuid", [107, 175, 49, 4049]),
    call("geteuid32", [NONE, NONE, 201, NONE]),
    call("getgid", [104, 176, 47, 4047]),
    call("getgid32", [NONE, NONE, 200, NONE]),
    call("getegid", [108, 177, 50, 4050]),
    call("getegid32", [NONE, NONE, 202, NONE]),
];

/// Calls that kill the process: the sensor starts no program, traces none, and changes neither kernel nor name spaces.
pub(super) const FATAL: [Call; 19] = [
    call("execve", [59, 221, 11, 4011]),
    call("execveat", [322, 281, 387, 4356]),
    call("ptrace", [101, 117, 26, 4026]),
    call("process_vm_readv", [310, 270, 376, 4345]),
    call("process_vm_writev", [311, 271, 377, 4346]),
    call("init_module", [175, 105, 128, 4128]),
    call("finit_module", [313, 273, 379, 4348]),
    call("delete_module", [176, 106, 129, 4129]),
    call("kexec_load", [246, 104, 347, 4311]),
    call("bpf", [321, 280, 386, 4355]),
    call("mount", [165, 40, 21, 4021]),
    call("umount2", [166, 39, 52, 4052]),
    call("pivot_root", [155, 41, 218, 4216]),
    call("chroot", [161, 51, 61, 4061]),
    call("setns", [308, 268, 375, 4344]),
    call("unshare", [272, 97, 337, 4303]),
    call("open_by_handle_at", [304, 265, 371, 4340]),
    call("fork", [57, NONE, 2, 4002]),
    call("vfork", [58, NONE, 190, NONE]),
];

/// A call whose arguments are in memory, which a filter cannot read. Always `ENOSYS`: the C library then takes `clone`.
pub(super) const CLONE3: Call = call("clone3", [435, 435, 435, 4435]);

/// Call that is allowed with certain values of one argument, else it fails with `EPERM`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) call: Call,
    /// Index of the argument.
    pub(super) argument: u8,
    pub(super) check: Check,
}

/// Condition on the low half of an argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    /// One of these values.
    OneOf(&'static [u32]),
    /// One of the first families, or a stream or datagrams of one of the second: packets of the Internet protocols are made
    /// by the kernel only.
    Socket(&'static [u32], &'static [u32]),
    /// Bits that must all be set, and bits that must be clear.
    Bits(u32, u32),
}

const PROT_EXEC: u32 = 4;
/// `CLONE_THREAD`: a new thread, never a new process.
const CLONE_THREAD: u32 = 0x1_0000;
/// `CLONE_NEWNS` | `NEWCGROUP` | `NEWUTS` | `NEWIPC` | `NEWUSER` | `NEWPID` | `NEWNET` | `CLONE_PTRACE`.
const CLONE_NEW: u32 = 0x7e02_2000;
/// `AF_UNIX`, `AF_NETLINK`, `AF_PACKET`.
const FAMILIES: &[u32] = &[1, 16, 17];
/// `AF_INET`, `AF_INET6`.
const INTERNET: &[u32] = &[2, 10];
/// `PR_SET_NAME` of new threads; `PR_SET_VMA`, with which glibc names its memory.
const PRCTLS: &[u32] = &[15, 0x5356_4d41];
/// `SIOCGIFINDEX` of a ring that is opened again; `FIONBIO`, `FIOCLEX` and `FIONREAD` of sockets, the last of glibc's resolver;
/// `TCGETS` of standard error; with `TCSETS`, `TCGETS2` and `TCSETS2` also of a serial console that comes back.
const IOCTLS: &[u32] = &[0x8933, 0x5421, 0x5451, 0x541b, 0x5401, 0x5402, 0x802c_542a, 0x402c_542b];
const IOCTLS_MIPS: &[u32] = &[0x8933, 0x667e, 0x6601, 0x467f, 0x540d, 0x540e, 0x4030_542a, 0x8030_542b];

/// Calls that are allowed with certain arguments; `ioctl` has other numbers on MIPS.
pub(super) const fn checked(is_mips: bool) -> [Checked; 7] {
    let ioctls = if is_mips { IOCTLS_MIPS } else { IOCTLS };
    [
        Checked {
            call: call("socket", [41, 198, 281, 4183]),
            argument: 0,
            check: Check::Socket(FAMILIES, INTERNET),
        },
        Checked { call: call("ioctl", [16, 29, 54, 4054]), argument: 1, check: Check::OneOf(ioctls) },
        Checked { call: call("prctl", [157, 167, 172, 4192]), argument: 0, check: Check::OneOf(PRCTLS) },
        Checked { call: call("mmap", [9, 222, NONE, 4090]), argument: 2, check: Check::Bits(0, PROT_EXEC) },
        Checked {
            call: call("mmap2", [NONE, NONE, 192, 4210]),
            argument: 2,
            check: Check::Bits(0, PROT_EXEC),
        },
        Checked {
            call: call("mprotect", [10, 226, 125, 4125]),
            argument: 2,
            check: Check::Bits(0, PROT_EXEC),
        },
        Checked {
            call: call("clone", [56, 220, 120, 4120]),
            argument: 0,
            check: Check::Bits(CLONE_THREAD, CLONE_NEW),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_on_two_lists() {
        let checked = checked(false).map(|checked| checked.call);
        for column in 0..4 {
            let all = ALLOWED.iter().chain(&FATAL).chain(&checked).chain([&CLONE3]);
            let mut numbers: Vec<(u32, &str)> = all
                .map(|call| (call.numbers[column], call.name))
                .filter(|(number, _)| *number != NONE)
                .collect();
            numbers.sort_unstable();
            for pair in numbers.windows(2) {
                assert_ne!(pair[0].0, pair[1].0, "{} and {}", pair[0].1, pair[1].1);
            }
            assert!(numbers.len() > 110, "column {column} has {} calls", numbers.len());
        }
    }

    /// Against another source of the same numbers, for the architecture of the test.
    #[test]
    fn numbers_are_those_of_the_kernel() {
        let column = super::super::program::NATIVE.expect("a table for this architecture").column;
        let number = |name: &str| {
            let checked = checked(false).map(|checked| checked.call);
            let mut all = ALLOWED.iter().chain(&FATAL).chain(&checked).chain([&CLONE3]);
            all.find(|call| call.name == name).expect("listed").numbers[column].to_string()
        };
        for (name, expected) in [
            ("read", libc::SYS_read),
            ("ppoll", libc::SYS_ppoll),
            ("futex", libc::SYS_futex),
            ("openat", libc::SYS_openat),
            ("renameat", libc::SYS_renameat),
            ("socket", libc::SYS_socket),
            ("setsockopt", libc::SYS_setsockopt),
            ("clone", libc::SYS_clone),
            ("clone3", libc::SYS_clone3),
            ("mprotect", libc::SYS_mprotect),
            ("execve", libc::SYS_execve),
            ("getrandom", libc::SYS_getrandom),
            ("exit_group", libc::SYS_exit_group),
        ] {
            assert_eq!(number(name), expected.to_string(), "{name}");
        }
    }
}
