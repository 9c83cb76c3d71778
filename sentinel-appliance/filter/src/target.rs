//! Who runs a program: that decides which facts about a packet it may use.

/// Who runs the program.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Target {
    /// The interpreter, over frames that are whole, as in most capture files.
    #[default]
    File,
    /// The kernel while it captures, or the interpreter over frames that it captured: the outer VLAN tag may
    /// stand beside the frame. Programs with `inbound`, `outbound` or `ifindex` run in the kernel only.
    Kernel,
}
