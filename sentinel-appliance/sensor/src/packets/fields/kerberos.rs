//! Kerberos. Field names of RFC 4120 section 5.

use sentinel_dissect::application::kerberos::{self, Message, Name};

use super::layout::number_or_word;
use super::members::{Context, Members, lossy};

const TYPES: &str = "10:AS_REQ,AS_REP,TGS_REQ,TGS_REP,AP_REQ,AP_REP,30:KRB_ERROR";
/// Errors that are common (RFC 4120 section 7.5.9).
const ERRORS: &str = "6:KDC_ERR_C_PRINCIPAL_UNKNOWN,KDC_ERR_S_PRINCIPAL_UNKNOWN,14:KDC_ERR_ETYPE_NOSUPP,\
    18:KDC_ERR_CLIENT_REVOKED,23:KDC_ERR_KEY_EXPIRED,KDC_ERR_PREAUTH_FAILED,KDC_ERR_PREAUTH_REQUIRED,\
    32:KRB_AP_ERR_TKT_EXPIRED,37:KRB_AP_ERR_SKEW,52:KRB_ERR_RESPONSE_TOO_BIG";

pub(super) fn write<'p>(bytes: &'p [u8], context: Context, members: &mut Members<'_>) -> &'p [u8] {
    let (bytes, behind) = if context.is_stream {
        let Some(record) = kerberos::record(bytes) else { return &[] };
        record
    } else {
        (bytes, &[][..])
    };
    let Some(message) = Message::parse(bytes) else { return behind };
    number_or_word("msg_type", TYPES, message.kind.into(), members);
    if let Some(error) = message.error_code().and_then(|error| u64::try_from(error).ok()) {
        number_or_word("error_code", ERRORS, error, members);
    }
    for (name, value) in [("cname", message.client()), ("sname", message.service())] {
        members.optional(name, value.map(text).as_deref());
    }
    members.optional("realm", message.realm());
    if let Some(realm) = message.client_realm() {
        members.text(".crealm", realm);
    }
    members.list(".etype", &mut message.encryption_types().map(|number| number.to_string()));
    behind
}

/// The parts of a name with slashes between them.
fn text(name: Name<'_>) -> Vec<u8> {
    name.parts().map(lossy).collect::<Vec<_>>().join("/").into_bytes()
}
