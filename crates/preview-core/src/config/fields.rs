//! Which keys each table of `preview.toml` has, asked of the types that read it.

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::{
    alerts, attestation, cleanup, commands, database, file, isolation, lifetime, promote, pulls,
    slots,
};

/// A table of the file: its path, with `*` for a name and `[]` for an element, and its keys.
pub(super) struct Level {
    pub(super) path: &'static [&'static str],
    pub(super) keys: &'static [&'static str],
}

fn level<'de, T: Deserialize<'de>>(path: &'static [&'static str]) -> Level {
    Level {
        path,
        keys: keys_of::<T>(),
    }
}

/// Every table whose keys are ours to choose.
pub(super) fn levels() -> Vec<Level> {
    vec![
        level::<file::File>(&[]),
        level::<pulls::PullsFile>(&["pull_requests"]),
        level::<pulls::ImportFile>(&["pull_requests", "import"]),
        level::<file::Component>(&["components", "*"]),
        level::<file::Check>(&["components", "*", "check"]),
        level::<file::Resources>(&["components", "*", "resources"]),
        level::<file::Amounts>(&["components", "*", "resources", "requests"]),
        level::<file::Amounts>(&["components", "*", "resources", "limits"]),
        level::<database::Written>(&["database"]),
        level::<file::Resources>(&["database", "resources"]),
        level::<file::Amounts>(&["database", "resources", "requests"]),
        level::<file::Amounts>(&["database", "resources", "limits"]),
        level::<database::WrittenSeed>(&["database", "seed"]),
        level::<database::WrittenSnapshot>(&["database", "seed", "snapshot"]),
        level::<file::Manifests>(&["manifests"]),
        level::<file::Quota>(&["quota"]),
        level::<file::Amounts>(&["quota", "requests"]),
        level::<file::Amounts>(&["quota", "limits"]),
        level::<slots::QueueFile>(&["queue"]),
        level::<slots::SweepFile>(&["sweep"]),
        level::<cleanup::CleanupFile>(&["cleanup"]),
        level::<commands::CommandsFile>(&["commands"]),
        level::<alerts::AlertsFile>(&["alerts"]),
        level::<isolation::TlsFile>(&["tls"]),
        level::<isolation::NetworkFile>(&["network"]),
        level::<isolation::PeerFile>(&["network", "ingress_from", "[]"]),
        level::<file::Ingress>(&["ingress"]),
        level::<file::Gateway>(&["gateway"]),
        level::<file::Checks>(&["checks"]),
        level::<file::Registry>(&["registry"]),
        level::<file::Access>(&["access"]),
        level::<lifetime::LifetimeFile>(&["lifetime"]),
        level::<promote::PromoteFile>(&["promote"]),
        level::<attestation::AttestationFile>(&["promote", "require_attestation"]),
        level::<promote::TargetFile>(&["promote", "targets", "[]"]),
        level::<promote::WorkloadFile>(&["promote", "targets", "[]", "workloads", "[]"]),
        level::<promote::CommandFile>(&["promote", "targets", "[]", "migrate"]),
        level::<promote::VerifyFile>(&["promote", "targets", "[]", "verify"]),
    ]
}

/// The keys of `T`, which serde's derive hands to any deserializer that asks.
fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // It always fails, for there is nothing to read.
    let _ = T::deserialize(Asks { keys: &mut keys });
    keys
}

/// Reads nothing, and keeps the names of the fields that are asked of it.
struct Asks<'a> {
    keys: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Asks<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.keys = fields;
        Err(de::Error::custom("nothing to read"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("nothing to read"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
