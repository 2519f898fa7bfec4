//! The chain of evidence link by link, for eyes: what has to agree, what was found, and whether it does.

use super::{Attestations, Evidence, Found, ImageFacts, Lineage, Workload};
use crate::attestation::Unattested;
use crate::record::{BuiltBy, Record, Recorded};

/// The link that is there only where the configuration asks who built the images.
const ATTESTED: &str = "attested by";

/// Whether a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// It holds.
    Holds,
    /// It is broken.
    Broken,
    /// It cannot be told, since a link before it is broken.
    Unknown,
}

impl Mark {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Broken }
    }
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let recorded = record.map(|record| record.components.get(component));
        links.extend(component_links(evidence, component.as_str(), recorded));
    }
    for workload in &evidence.target.workloads {
        links.extend(workload_links(evidence, workload));
    }
    links
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
            Link::new("tree", merged == tested, merged.as_str(), tested.as_str())
        },
    )
}

/// `recorded` is none where there is no record, and holds none where the record has no such component.
fn component_links(
    evidence: &Evidence,
    component: &str,
    recorded: Option<Option<&Recorded>>,
) -> Vec<Link> {
    let name = |what: &str| format!("{component}: {what}");
    let in_record = name("in the record");
    let mut rest = vec!["built by", "in the registry", "complete", "revision"];
    if evidence.attestations.is_some() {
        rest.insert(1, ATTESTED);
    }
    let unknown = |rest: &[&str]| {
        rest.iter()
            .map(|what| Link::unknown(name(what)))
            .collect::<Vec<_>>()
    };
    let recorded = match recorded {
        None => return [vec![Link::unknown(in_record)], unknown(&rest)].concat(),
        Some(None) => {
            let link = Link::new(in_record, false, "an image", "none");
            return [vec![link], unknown(&rest)].concat();
        }
        Some(Some(recorded)) => recorded,
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
        None => links.extend(unknown(&["complete", "revision"])),
        Some(facts) => links.extend(registry_links(facts, recorded, &name)),
    }
    links
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
    let missing = if facts.missing.is_empty() {
        "all pieces".to_owned()
    } else {
        format!("without {}", facts.missing.join(", "))
    };
    [
        Link::new(
            name("complete"),
            facts.missing.is_empty(),
            "all pieces",
            missing,
        ),
        Link::new(
            name("revision"),
            facts.revision == Ok(Some(recorded.built_from.clone())),
            recorded.built_from.as_str(),
            facts.said(),
        ),
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
            let holds = !matches!(commit, Some((_, Lineage::Unrelated | Lineage::Descendant)));
            let wanted = format!("contained in {}", evidence.commit.sha.short());
            [
                Link::new(exists, true, place, format!("runs {image}")),
                Link::new(no_loss, holds, wanted, found),
            ]
        }
    }
}
