//! Code that has done its work, given back.

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
}
