//! Code that has done its work, and the stack that it used, given back.

use rustix::io::Errno;

use crate::kernel;

/// Takes the code between two functions of the program out of resident memory, in whole pages. What is called all the same is
/// read again from the program's file.
///
/// # Errors
/// The kernel refuses. If `to` does not lie behind `from`, nothing is done.
pub fn give_back(from: fn() -> u8, to: fn() -> u8) -> Result<(), Errno> {
    kernel::discard_code(from, to)
}

/// Takes the stack of this thread below the frame of the caller out of resident memory, but for the next 16 KiB, which it is about to
/// use again, and down to 96 KiB: the kernel maps 128 KiB for the first thread of every program.
///
/// For the first thread only: others have smaller stacks, and below them lies the memory of others.
///
/// # Errors
/// The kernel refuses, or this is not the first thread.
pub fn give_back_stack() -> Result<(), Errno> {
    if rustix::thread::gettid() != rustix::process::getpid() {
        return Err(Errno::PERM);
    }
    kernel::discard_stack(16 * 1024..96 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn one() -> u8 {
        std::hint::black_box(1)
    }

    #[inline(never)]
    fn two() -> u8 {
        std::hint::black_box(2)
    }

    #[test]
    fn code_works_after_it_was_given_back() {
        // Which of two functions comes first is the linker's choice; between them there may be no whole page.
        assert_eq!([give_back(one, two), give_back(two, one)], [Ok(()); 2]);
        assert_eq!((one(), two()), (1, 2));
    }

    #[test]
    fn only_the_first_thread_gives_back_its_stack() {
        // Tests run on threads of their own.
        assert_eq!(give_back_stack(), Err(Errno::PERM));
    }
}
