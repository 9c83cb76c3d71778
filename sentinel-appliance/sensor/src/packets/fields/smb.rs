//! SMB. Field names of MS-SMB2 section 2.2 and MS-CIFS section 2.2.3.1.

use sentinel_dissect::application::smb::{Dialect, Message};

use super::layout::{Layout, Sort, number_or_word, word};
use super::members::{Context, Members, utf_16};

pub(super) const VERSION_1: Layout = Layout {
    names: ".status .tid .uid .mid",
    fields: &[(5, Sort::Little(4)), (24, Sort::Little(2)), (28, Sort::Little(2)), (30, Sort::Little(2))],
};
pub(super) const VERSION_2: Layout = Layout {
    names: ".status .message_id .tree_id .session_id",
    fields: &[(8, Sort::Little(4)), (24, Sort::Little(8)), (36, Sort::Little(4)), (40, Sort::Little(8))],
};
const COMMANDS_1: &str = "create_directory,delete_directory,open,create,close,flush,delete,rename,query_information,\
    set_information,read,write,16:check_directory,36:locking_andx,transaction,43:echo,45:open_andx,read_andx,write_andx,\
    50:transaction2,52:find_close2,113:tree_disconnect,negotiate,session_setup_andx,logoff_andx,tree_connect_andx,\
    160:nt_transact,162:nt_create_andx,164:nt_cancel";
const COMMANDS_2: &str = "negotiate,session_setup,logoff,tree_connect,tree_disconnect,create,close,flush,read,write,lock,\
    ioctl,cancel,echo,query_directory,change_notify,query_info,set_info,oplock_break";

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some(message) = Message::parse(bytes) else { return &[] };
    let (name, commands, layout) = match message.dialect {
        Dialect::One => ("SMB1", COMMANDS_1, Some(VERSION_1)),
        Dialect::Two => ("SMB2", COMMANDS_2, Some(VERSION_2)),
        Dialect::Encrypted => ("SMB3_encrypted", "", None),
        Dialect::Compressed => ("SMB3_compressed", "", None),
    };
    members.word("protocol_id", name);
    if let Some((command, is_response)) = message.command() {
        number_or_word("command", commands, command.into(), members);
        members.flag("response", is_response);
    }
    if let Some(layout) = &layout {
        layout.write(message.bytes, members);
    }
    if let Some(dialect) = message.chosen_dialect() {
        members.display("dialect_revision", &format_args!("0x{dialect:04x}"));
    }
    if let Some(path) = message.name() {
        members.text("name", utf_16(path).as_bytes());
    }
    if let Some([domain, user, workstation]) = message.authentication() {
        for (name, value) in [("domain_name", domain), ("user_name", user), (".workstation", workstation)] {
            members.text(name, utf_16(value).as_bytes());
        }
    }
    // Data of files, and what cannot be read: each message would be a record without contents.
    let routine = ["read", "write", "read_andx", "write_andx", "echo", "lock"];
    let command = message.command().and_then(|(command, _)| word(commands, command.into()));
    members.has_record = layout.is_some() && !command.is_some_and(|command| routine.contains(&command));
    message.remaining
}
