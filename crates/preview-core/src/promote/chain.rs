//! The chain of evidence link by link, for eyes: what has to agree, what was found, and whether it does.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Attestations, Evidence, Found, ImageFacts, Intent, Lineage, Running, Workload, compare_running,
};
use crate::attestation::Unattested;
use crate::names::Digest;
use crate::objects::ObjectName;
use crate::ownership::keys;
use crate::record::{BuiltBy, Record, Recorded};

/// The link that is there only where the configuration asks who built the images.
pub(super) const ATTESTED: &str = "attested by";

/// Whether a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It holds.
    Holds,
    /// It is broken.
    Broken,
    /// It cannot be told, mostly since a link before it is broken.
    Unknown,
}

impl Mark {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Broken }
    }

    /// A sign for lists.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Holds => "✅",
            Self::Broken => "❌",
            Self::Unknown => "➖",
        }
    }
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Link {
    /// What has to agree.
    pub name: String,
    /// Whether it does.
    pub holds: Mark,
    /// What it has to be.
    pub wanted: String,
    /// What it is.
    pub found: String,
}

impl Link {
    fn new(
        name: impl Into<String>,
        holds: bool,
        wanted: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            holds: Mark::of(holds),
            wanted: wanted.into(),
            found: found.into(),
        }
    }

    /// The last link: what the nodes report of a container of the target.
    #[must_use]
    pub fn runs(
        workload: &ObjectName,
        container: &str,
        wanted: &Digest,
        image_ids: &[String],
        running: &Running,
    ) -> Self {
        let (holds, found) = match running {
            Running::Verified => (Mark::Holds, image_ids.join(", ")),
            Running::NotVerified { why, .. } => (Mark::Unknown, format!("not verified: {why}")),
            Running::Differs { image_id } => (Mark::Broken, image_id.clone()),
        };
        Self {
            name: format!("{workload}, container {container}: runs"),
            holds,
            wanted: wanted.to_string(),
            found,
        }
    }

    fn unknown(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            holds: Mark::Unknown,
            wanted: String::new(),
            found: String::new(),
        }
    }
}

/// The chain: from the merged commit over its record and its images to what the target runs.
#[must_use]
pub fn chain(evidence: &Evidence) -> Vec<Link> {
    let record = evidence.record();
    let mut links = vec![
        Link::new(
            "merged",
            evidence.on_default_branch,
            format!("a commit of {}", evidence.default_branch),
            evidence.commit.sha.as_str(),
        ),
        record_link(evidence, record),
        tree_link(evidence, record),
    ];
    let mut components: Vec<_> = evidence
        .target
        .workloads
        .iter()
        .map(|w| &w.component)
        .collect();
    components.sort_unstable();
    components.dedup();
    for component in components {
        let recorded = record.map(|record| (record, record.components.get(component)));
        links.extend(component_links(evidence, component.as_str(), recorded));
    }
    for workload in &evidence.target.workloads {
        links.extend(workload_links(evidence, workload));
    }
    links.extend(target_links(evidence));
    links
}

/// The chain as lines for a terminal: the two values on lines of their own where they do not agree.
#[must_use]
pub fn lines(chain: &[Link]) -> Vec<String> {
    let widest = chain.iter().map(|link| link.name.chars().count());
    let widest = widest.max().unwrap_or(0);
    let mut lines = Vec::new();
    for link in chain {
        let line = format!(
            "{} {:<widest$}  {}",
            link.holds.sign(),
            link.name,
            link.found
        );
        lines.push(line.trim_end().to_owned());
        if link.holds == Mark::Broken {
            lines.push(format!("   {:<widest$}  wanted: {}", "", link.wanted));
        }
    }
    lines
}

fn target_links(evidence: &Evidence) -> Vec<Link> {
    let target = &evidence.target;
    if target.workloads.is_empty() {
        let name = format!("{}: workloads", target.name);
        return vec![Link::new(name, false, "one at least", "none")];
    }
    vec![Link::new(
        format!("{}: not frozen", target.name),
        evidence.frozen().is_none(),
        format!("no annotation {}", keys::FROZEN),
        target.frozen.as_deref().unwrap_or("not frozen"),
    )]
}

fn record_link(evidence: &Evidence, record: Option<&Record>) -> Link {
    let found = match record {
        Some(record) => format!(
            "{} at {} by run {}",
            record.subject,
            record.head.short(),
            record.run
        ),
        None => {
            let refused = evidence.records.iter().filter_map(|r| r.as_ref().err());
            let refused: Vec<String> = refused.map(ToString::to_string).collect();
            if refused.is_empty() {
                "none".to_owned()
            } else {
                refused.join("; ")
            }
        }
    };
    Link::new(
        "tested",
        record.is_some(),
        "a record that can be believed",
        found,
    )
}

fn tree_link(evidence: &Evidence, record: Option<&Record>) -> Link {
    record.map_or_else(
        || Link::unknown("tree"),
        |record| {
            let (merged, tested) = (&evidence.commit.tree, &record.tree);
            let found = match evidence.alike.get(tested) {
                Some(paths) => format!(
                    "{tested}, which differs in ignored paths alone: {}",
                    paths.join(", ")
                ),
                None => tested.to_string(),
            };
            Link::new(
                "tree",
                evidence.is_of_merged_tree(record),
                merged.as_str(),
                found,
            )
        },
    )
}

/// `recorded` is none where there is no record, and holds none where the record has no such component.
fn component_links(
    evidence: &Evidence,
    component: &str,
    recorded: Option<(&Record, Option<&Recorded>)>,
) -> Vec<Link> {
    let name = |what: &str| format!("{component}: {what}");
    let in_record = name("in the record");
    let mut rest = vec![
        "built by",
        "in the registry",
        "complete",
        "revision",
        "ran in the preview",
    ];
    if evidence.attestations.is_some() {
        rest.insert(1, ATTESTED);
    }
    let unknown = |rest: &[&str]| {
        rest.iter()
            .map(|what| Link::unknown(name(what)))
            .collect::<Vec<_>>()
    };
    let (record, recorded) = match recorded {
        None => return [vec![Link::unknown(in_record)], unknown(&rest)].concat(),
        Some((_, None)) => {
            let link = Link::new(in_record, false, "an image", "none");
            return [vec![link], unknown(&rest)].concat();
        }
        Some((record, Some(recorded))) => (record, recorded),
    };
    let digest = recorded.image.digest.as_str();
    let facts = evidence
        .images
        .get(&recorded.image)
        .filter(|facts| facts.present);
    let mut links = vec![
        Link::new(in_record, true, "an image", in_the_record(recorded)),
        Link::new(
            name("built by"),
            recorded.built_by != BuiltBy::Contributor,
            "trusted or branch",
            recorded.built_by.to_string(),
        ),
    ];
    let attestations = evidence.attestations.as_ref();
    links.extend(attestations.map(|found| attested_link(found, recorded, name(ATTESTED))));
    links.push(Link::new(
        name("in the registry"),
        facts.is_some(),
        digest,
        if facts.is_some() { digest } else { "not there" },
    ));
    match facts {
        None => links.extend(unknown(&["complete", "revision", "ran in the preview"])),
        Some(facts) => {
            links.extend(registry_links(facts, recorded, &name));
            let ids = record.pods.iter().find(|(of, _)| of.as_str() == component);
            let ids = ids.map_or(&[][..], |(_, ids)| ids);
            links.push(preview_link(
                name("ran in the preview"),
                facts,
                recorded,
                ids,
            ));
        }
    }
    links
}

/// What the nodes of the preview reported. It breaks nothing: what they report is unsure by nature, see [`Running`].
fn preview_link(name: String, facts: &ImageFacts, recorded: &Recorded, ids: &[String]) -> Link {
    let digest = &recorded.image.digest;
    let (holds, found) = match compare_running(ids, digest, &facts.parts, &BTreeSet::new()) {
        Running::Verified => (Mark::Holds, ids.join(", ")),
        Running::NotVerified { why, .. } => (Mark::Unknown, format!("not verified: {why}")),
        Running::Differs { image_id } => (Mark::Unknown, image_id),
    };
    Link {
        name,
        holds,
        wanted: digest.to_string(),
        found,
    }
}

fn attested_link(attestations: &Attestations, recorded: &Recorded, name: String) -> Link {
    let signer = &attestations.demand.signer;
    match attestations.judge(recorded) {
        Ok(()) => Link::new(name, true, signer, signer),
        Err(why) => {
            let wanted = match &why {
                Unattested::Differs { what, wanted, .. } => format!("{what} {wanted}"),
                Unattested::Missing | Unattested::Invalid(_) => signer.clone(),
            };
            Link::new(name, false, wanted, why.to_string())
        }
    }
}

fn in_the_record(recorded: &Recorded) -> String {
    let image = &recorded.image;
    match &recorded.unchanged_since {
        Some(since) => format!("{image}, as it was in {}", since.short()),
        None => image.to_string(),
    }
}

fn registry_links(
    facts: &ImageFacts,
    recorded: &Recorded,
    name: &dyn Fn(&str) -> String,
) -> [Link; 2] {
    let lacks = match (&facts.damage, facts.missing.as_slice()) {
        (Some(damage), _) => Some(damage.clone()),
        (None, []) => None,
        (None, missing) => Some(format!("without {}", missing.join(", "))),
    };
    [
        Link::new(
            name("complete"),
            lacks.is_none(),
            "all pieces",
            lacks.unwrap_or_else(|| "all pieces".to_owned()),
        ),
        match facts.tells_its_revision() {
            true => Link::new(
                name("revision"),
                facts.revision == Ok(Some(recorded.built_from.clone())),
                recorded.built_from.as_str(),
                facts.said(),
            ),
            false => Link::unknown(name("revision")),
        },
    ]
}

fn workload_links(evidence: &Evidence, workload: &Workload) -> [Link; 2] {
    let place = format!("{}, container {}", workload.object, workload.container);
    let (exists, no_loss) = (
        format!("{}: there", workload.object),
        format!("{}: nothing lost", workload.object),
    );
    let broken = |found: String| {
        [
            Link::new(&*exists, false, &*place, found),
            Link::unknown(&*no_loss),
        ]
    };
    match &workload.found {
        Found::NoWorkload => broken(format!("no such workload in {}", evidence.target.namespace)),
        Found::NoContainer { containers } => {
            broken(format!("containers {}", containers.join(", ")))
        }
        Found::Reconciled { by } => broken(format!("reconciled from git by {by}")),
        Found::Runs { image, commit } => {
            let found = commit.as_ref().map_or_else(
                || "nothing of ours ran there".to_owned(),
                |(commit, lineage)| format!("{} is {lineage}", commit.short()),
            );
            let commit_m = evidence.commit.sha.short();
            let (holds, wanted) = match evidence.intent {
                Intent::RollBack => (
                    commit.is_some(),
                    "what a promotion brought there".to_owned(),
                ),
                Intent::Adopt | Intent::Promote => (
                    match commit {
                        None => evidence.intent == Intent::Adopt,
                        Some((_, Lineage::Same | Lineage::Ancestor)) => true,
                        Some((_, Lineage::Unrelated | Lineage::Descendant)) => false,
                    },
                    format!("contained in {commit_m}"),
                ),
            };
            [
                Link::new(exists, true, place, format!("runs {image}")),
                Link::new(no_loss, holds, wanted, found),
            ]
        }
    }
}
