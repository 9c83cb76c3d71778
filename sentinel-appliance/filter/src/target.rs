//! Execution environment of a program, which decides whether VLAN tags and capture metadata are beside the
//! frame.

/// Execution environment of a program.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Target {
    /// The interpreter, over frames with all VLAN tags in their bytes, as in most capture files.
    #[default]
    File,
    /// The kernel while it captures, or the interpreter over frames from a packet ring: the outer VLAN tag
    /// may be removed from the bytes. Programs with `inbound`, `outbound` or `ifindex` run in the kernel
    /// only.
    Kernel,
}
