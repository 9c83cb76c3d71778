//! Encoding of [`AlertId`], a foreign type without serde, as `boot` and `seq`. For `#[serde(with)]`.

use sentinel_alert::AlertId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Deserialize, Serialize)]
struct WireAlertId {
    boot: u32,
    seq: u64,
}

impl From<AlertId> for WireAlertId {
    fn from(AlertId { boot, seq }: AlertId) -> Self {
        Self { boot, seq }
    }
}

impl From<WireAlertId> for AlertId {
    fn from(WireAlertId { boot, seq }: WireAlertId) -> Self {
        Self { boot, seq }
    }
}

pub(super) fn serialize<S: Serializer>(id: &AlertId, serializer: S) -> Result<S::Ok, S::Error> {
    WireAlertId::from(*id).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AlertId, D::Error> {
    WireAlertId::deserialize(deserializer).map(AlertId::from)
}

/// Encoding of `Option<AlertId>`.
pub(super) mod optional {
    use super::{AlertId, Deserialize, Deserializer, Serialize, Serializer, WireAlertId};

    pub(in crate::message) fn serialize<S: Serializer>(
        id: &Option<AlertId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.map(WireAlertId::from).serialize(serializer)
    }

    pub(in crate::message) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<AlertId>, D::Error> {
        Ok(Option::<WireAlertId>::deserialize(deserializer)?.map(AlertId::from))
    }
}
