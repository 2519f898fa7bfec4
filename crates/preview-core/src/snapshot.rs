//! The golden snapshot: a VolumeSnapshot of sanitised production that fresh databases are made from, and whether a
//! preview's database can be.
//!
//! A VolumeSnapshot restores within its own namespace only, so each preview has a pair of its own for the same snapshot
//! at the storage: <https://kubernetes.io/docs/concepts/storage/volume-snapshots/#pre-provisioned>.

use std::fmt;

use crate::config::Memory;
use crate::names::NamespaceName;

/// Which VolumeSnapshot. Printed `VolumeSnapshot/shop-sanitised of namespace golden`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName {
    /// The namespace that it lies in.
    pub namespace: NamespaceName,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VolumeSnapshot/{} of namespace {}",
            self.name, self.namespace
        )
    }
}

/// What is at the place where the golden snapshot should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Golden {
    /// Nothing.
    Missing,
    /// A VolumeSnapshot that is not ready to use.
    NotReady {
        /// The last error of whoever takes it, as its status tells.
        error: Option<String>,
    },
    /// A VolumeSnapshot that says it is ready, without a VolumeSnapshotContent that says the same of it. Only where both
    /// point at each other is one the other's:
    /// <https://kubernetes.io/docs/concepts/storage/volume-snapshots/#provisioning-volume-snapshot>.
    NotBound {
        /// The VolumeSnapshotContent that it names.
        content: Option<String>,
    },
    /// A snapshot at the storage.
    Ready(StoredSnapshot),
}

/// A snapshot at the storage, as its VolumeSnapshotContent tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The CSI driver that knows it.
    pub driver: String,
    /// The driver's name of it.
    pub handle: String,
    /// The smallest volume that it can be restored to, in bytes; none where the driver did not tell.
    pub restore_size: Option<u64>,
    /// The mode of the volume that it was taken of; none where nobody wrote it down.
    pub source_volume_mode: Option<VolumeMode>,
}

/// What a volume is to its pods. <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#volume-mode>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolumeMode {
    /// A directory.
    Filesystem,
    /// A device.
    Block,
}

impl VolumeMode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Filesystem, Self::Block];

    /// Kubernetes' own word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "Filesystem",
            Self::Block => "Block",
        }
    }
}

impl fmt::Display for VolumeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a database cannot be made from the golden snapshot that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the golden snapshot {home} {problem}")]
pub struct GoldenRefusal {
    home: SnapshotName,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is not there; take it, or name another one under [database.seed] in preview.toml")]
    Missing,
    #[error("is not ready to use{}; see to it there, and deploy again", told(error.as_deref()))]
    NotReady { error: Option<String> },
    #[error(
        "is bound to no VolumeSnapshotContent that points back at it and names a snapshot at the storage{}; take it \
         anew, and deploy again",
        named(content.as_deref())
    )]
    NotBound { content: Option<String> },
    #[error(
        "needs a volume of {needed} at least, and database.size is {size}; write size = \"{needed}\" under [database] \
         in preview.toml"
    )]
    TooLarge { needed: String, size: Memory },
    #[error(
        "was taken of a volume in mode Block, which has no directory for PostgreSQL; take it of one in mode Filesystem"
    )]
    NoDirectory,
}

fn told(error: Option<&str>) -> String {
    error.map(|error| format!(": {error}")).unwrap_or_default()
}

fn named(content: Option<&str>) -> String {
    let content = content.map(|content| format!(" (it names VolumeSnapshotContent/{content})"));
    content.unwrap_or_default()
}

/// Everything that keeps a database with a volume of `size` from being made from the snapshot that was found at `home`.
#[must_use]
pub fn check(home: &SnapshotName, found: &Golden, size: &Memory) -> Vec<GoldenRefusal> {
    let problems = match found {
        Golden::Missing => vec![Problem::Missing],
        Golden::NotReady { error } => vec![Problem::NotReady {
            error: error.clone(),
        }],
        Golden::NotBound { content } => vec![Problem::NotBound {
            content: content.clone(),
        }],
        Golden::Ready(stored) => problems(stored, size),
    };
    let refusal = |problem| GoldenRefusal {
        home: home.clone(),
        problem,
    };
    problems.into_iter().map(refusal).collect()
}

fn problems(stored: &StoredSnapshot, size: &Memory) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(needed) = stored.restore_size
        && needed > size.bytes()
    {
        problems.push(Problem::TooLarge {
            needed: shown(needed),
            size: size.clone(),
        });
    }
    if stored.source_volume_mode == Some(VolumeMode::Block) {
        problems.push(Problem::NoDirectory);
    }
    problems
}

/// `bytes` as a size to write in the configuration: rounded up to whole Mi, in Gi where that leaves no fraction.
fn shown(bytes: u64) -> String {
    let mebibytes = bytes.div_ceil(1 << 20);
    match mebibytes % 1024 {
        0 => format!("{}Gi", mebibytes / 1024),
        _ => format!("{mebibytes}Mi"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> SnapshotName {
        SnapshotName {
            namespace: "golden".parse().unwrap(),
            name: "shop-sanitised".into(),
        }
    }

    fn stored(restore_size: Option<u64>, source_volume_mode: Option<VolumeMode>) -> Golden {
        Golden::Ready(StoredSnapshot {
            driver: "ebs.csi.aws.com".into(),
            handle: "snap-0123456789".into(),
            restore_size,
            source_volume_mode,
        })
    }

    fn refused(found: &Golden) -> Vec<String> {
        let refusals = check(&home(), found, &"1Gi".parse().unwrap());
        refusals.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_volume_can_be_made_from_is_not_refused() {
        for size in [None, Some(1), Some(1 << 30)] {
            for mode in [None, Some(VolumeMode::Filesystem)] {
                assert_eq!(refused(&stored(size, mode)), [] as [String; 0]);
            }
        }
    }

    #[test]
    fn each_refusal_names_the_snapshot_and_what_to_do() {
        let error = Some("rpc error: no such volume".to_owned());
        let content = Some("snapcontent-1".to_owned());
        let told: Vec<String> = [
            Golden::Missing,
            Golden::NotReady { error: None },
            Golden::NotReady { error },
            Golden::NotBound { content: None },
            Golden::NotBound { content },
            stored(Some(5 << 30), None),
            stored(Some((1 << 30) + 1), Some(VolumeMode::Block)),
        ]
        .iter()
        .flat_map(refused)
        .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is not there; take it, or name another one under [database.seed] in preview.toml
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is not ready to use; see to it there, and deploy again
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is not ready to use: rpc error: no such volume; see to it there, and deploy again
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is bound to no VolumeSnapshotContent that points back at it and names a snapshot at the storage; take it anew, and deploy again
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden is bound to no VolumeSnapshotContent that points back at it and names a snapshot at the storage (it names VolumeSnapshotContent/snapcontent-1); take it anew, and deploy again
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden needs a volume of 5Gi at least, and database.size is 1Gi; write size = "5Gi" under [database] in preview.toml
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden needs a volume of 1025Mi at least, and database.size is 1Gi; write size = "1025Mi" under [database] in preview.toml
        the golden snapshot VolumeSnapshot/shop-sanitised of namespace golden was taken of a volume in mode Block, which has no directory for PostgreSQL; take it of one in mode Filesystem
        "#);
    }
}
