//! What a sweep saw and did, as metrics in the text form of Prometheus, for the textfile collector of its node exporter.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
//!
//! All are gauges: the file is of one sweep, and the next one writes it anew. Each has the repository as a label, so that
//! several repositories may have a file each on one machine.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::Timestamp;

use crate::approvals::{self, Answer, Approval};
use crate::lifecycle::Phase;
use crate::names::RepositorySlug;
use crate::objects::NamespaceFacts;
use crate::ownership::{Claim, keys};
use crate::sweep::{Measure, Swept, count};

/// What all names begin with.
const PREFIX: &str = "preview_environments";

/// The phase of a preview that says none, or one that this version does not know.
const UNKNOWN: &str = "unknown";

/// A sweep that has ended, however it ended.
#[derive(Clone, Debug)]
pub struct Sweep<'a> {
    /// The repository.
    pub repository: &'a RepositorySlug,
    /// All its previews, as the sweep found them.
    pub previews: &'a [NamespaceFacts],
    /// How many may have a slot.
    pub capacity: u32,
    /// What it did about them.
    pub swept: &'a [Swept],
    /// What it did about runs that wait for approval.
    pub approvals: &'a [Approval],
    /// Whether its exit code is 0.
    pub succeeded: bool,
    /// When it ended.
    pub ended: Timestamp,
    /// How long it took.
    pub took: Duration,
}

/// A value of a label.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

impl Sweep<'_> {
    /// The file.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        let phases = self.phases();
        let phases = phases.iter().map(|(phase, count)| (*phase, *count));
        self.each(
            &mut out,
            "previews",
            "Previews by the phase that their last run left them in.",
            "phase",
            phases,
        );
        let claims = [Claim::Held, Claim::Claiming, Claim::Queued, Claim::Asleep];
        let claims = claims.map(|claim| (claim.as_str(), self.claims(claim)));
        self.each(
            &mut out,
            "slots",
            "Previews by their claim on a slot.",
            "claim",
            claims,
        );
        let capacity = "Previews that may have a slot; with capacity_of = \"cluster\", those of all repositories together.";
        self.one(&mut out, "capacity", capacity, self.capacity);
        let queue = "Previews that wait for a slot.";
        self.one(&mut out, "queue_length", queue, self.claims(Claim::Queued));
        // A dry run has no metrics.
        let measures = Measure::ALL
            .into_iter()
            .filter(|measure| !matches!(measure, Measure::WouldGo | Measure::WouldRetire));
        let measures = measures.map(|measure| (measure.as_str(), count(self.swept, measure)));
        self.each(
            &mut out,
            "swept",
            "Previews by what the last sweep did about them.",
            "measure",
            measures,
        );
        let answers = Answer::ALL
            .into_iter()
            .filter(|answer| *answer != Answer::WouldGo);
        let answers =
            answers.map(|answer| (answer.as_str(), approvals::count(self.approvals, answer)));
        self.each(
            &mut out,
            "approvals",
            "Runs that wait for approval by what the last sweep did about them.",
            "answer",
            answers,
        );
        let success = "Whether the last sweep ended with exit code 0.";
        self.one(&mut out, "sweep_success", success, u8::from(self.succeeded));
        let took = format!("{:.3}", self.took.as_secs_f64());
        self.one(
            &mut out,
            "sweep_duration_seconds",
            "How long the last sweep took.",
            took,
        );
        let ended = "When the last sweep ended, in seconds since 1970.";
        self.one(
            &mut out,
            "sweep_timestamp_seconds",
            ended,
            self.ended.as_second(),
        );
        out
    }

    /// The previews that the sweep has left there.
    fn left(&self) -> impl Iterator<Item = &NamespaceFacts> {
        let is_gone = |preview: &&NamespaceFacts| !self.was(preview, Measure::Destroyed);
        self.previews.iter().filter(is_gone)
    }

    fn was(&self, preview: &NamespaceFacts, measure: Measure) -> bool {
        let mut swept = self.swept.iter();
        swept.any(|one| one.measure == measure && one.namespace == preview.name)
    }

    /// How many there are in each phase, those without any included: a series that ends is no zero.
    fn phases(&self) -> BTreeMap<&'static str, usize> {
        let there = Phase::ALL
            .into_iter()
            .filter(|phase| *phase != Phase::Absent);
        let mut phases: BTreeMap<&str, usize> = there.map(|phase| (phase.as_str(), 0)).collect();
        for preview in self.left() {
            let told = preview.annotations.get(keys::PHASE);
            let phase = match preview.terminating {
                true => Some(Phase::Destroying),
                false => told.and_then(|phase| phase.parse().ok()),
            };
            *phases
                .entry(phase.map_or(UNKNOWN, Phase::as_str))
                .or_default() += 1;
        }
        phases
    }

    fn claims(&self, claim: Claim) -> usize {
        let now = |preview: &NamespaceFacts| match self.was(preview, Measure::Requeued) {
            true => Some(Claim::Queued),
            false => preview.claim(),
        };
        self.left()
            .filter(|preview| now(preview) == Some(claim))
            .count()
    }

    fn one(&self, out: &mut String, name: &str, help: &str, value: impl fmt::Display) {
        head(out, name, help);
        let repository = self.repository.to_string();
        let repository = Label(&repository);
        let _ = writeln!(
            out,
            "{PREFIX}_{name}{{repository=\"{repository}\"}} {value}"
        );
    }

    fn each<'b>(
        &self,
        out: &mut String,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'b str, usize)>,
    ) {
        head(out, name, help);
        let repository = self.repository.to_string();
        let repository = Label(&repository);
        for (of, value) in values {
            let of = Label(of);
            let _ = writeln!(
                out,
                "{PREFIX}_{name}{{repository=\"{repository}\",{label}=\"{of}\"}} {value}"
            );
        }
    }
}

/// `help` is ours, and has no backslash or line feed.
fn head(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP {PREFIX}_{name} {help}");
    let _ = writeln!(out, "# TYPE {PREFIX}_{name} gauge");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RepositoryId;
    use crate::ownership::Owner;

    fn preview(number: u32, annotations: &[(&str, &str)]) -> NamespaceFacts {
        let owner = Owner {
            repository: RepositoryId(42),
            subject: format!("pr-{number}").parse().unwrap(),
        };
        let annotations = annotations.iter();
        NamespaceFacts {
            name: format!("preview-pr-{number}").parse().unwrap(),
            uid: "u-1".parse().unwrap(),
            resource_version: "1".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            labels: owner.labels(),
            annotations: annotations
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            finalizers: Vec::new(),
            terminating: false,
            blockers: Vec::new(),
        }
    }

    #[test]
    fn prometheus_reads_what_a_sweep_saw_and_did() {
        let ready = [(keys::PHASE, "ready"), (keys::CLAIM, "held")];
        let going = NamespaceFacts {
            terminating: true,
            ..preview(9, &ready)
        };
        let previews = [
            preview(7, &ready),
            preview(8, &ready),
            going,
            preview(10, &[(keys::PHASE, "queued"), (keys::CLAIM, "claiming")]),
            preview(
                11,
                &[(keys::PHASE, "dancing \"a\\b\n"), (keys::CLAIM, "queued")],
            ),
        ];
        let swept = [
            Swept::new(&previews[0], Measure::Destroyed, "it is gone"),
            Swept::new(&previews[2], Measure::Failed, "a finalizer holds it"),
            Swept::new(&previews[3], Measure::Requeued, "its run has ended"),
        ];
        let late = Approval {
            run: 12,
            name: format!("preview of #7 at {}", "a".repeat(40))
                .parse()
                .unwrap(),
            answer: Answer::Cancelled,
            reason: "it has waited".to_owned(),
        };
        let sweep = Sweep {
            repository: &"acme/shop".parse().unwrap(),
            previews: &previews,
            capacity: 10,
            swept: &swept,
            approvals: &[late],
            succeeded: false,
            ended: "2025-12-19T14:32:00Z".parse().unwrap(),
            took: Duration::from_millis(12_340),
        };
        insta::assert_snapshot!(sweep.render(), @r#"
        # HELP preview_environments_previews Previews by the phase that their last run left them in.
        # TYPE preview_environments_previews gauge
        preview_environments_previews{repository="acme/shop",phase="asleep"} 0
        preview_environments_previews{repository="acme/shop",phase="awaiting-approval"} 0
        preview_environments_previews{repository="acme/shop",phase="claiming"} 0
        preview_environments_previews{repository="acme/shop",phase="destroying"} 1
        preview_environments_previews{repository="acme/shop",phase="failed"} 0
        preview_environments_previews{repository="acme/shop",phase="migrating"} 0
        preview_environments_previews{repository="acme/shop",phase="provisioning"} 0
        preview_environments_previews{repository="acme/shop",phase="queued"} 1
        preview_environments_previews{repository="acme/shop",phase="ready"} 1
        preview_environments_previews{repository="acme/shop",phase="rolling-out"} 0
        preview_environments_previews{repository="acme/shop",phase="superseded"} 0
        preview_environments_previews{repository="acme/shop",phase="unknown"} 1
        preview_environments_previews{repository="acme/shop",phase="updating"} 0
        # HELP preview_environments_slots Previews by their claim on a slot.
        # TYPE preview_environments_slots gauge
        preview_environments_slots{repository="acme/shop",claim="held"} 2
        preview_environments_slots{repository="acme/shop",claim="claiming"} 0
        preview_environments_slots{repository="acme/shop",claim="queued"} 2
        preview_environments_slots{repository="acme/shop",claim="asleep"} 0
        # HELP preview_environments_capacity Previews that may have a slot; with capacity_of = "cluster", those of all repositories together.
        # TYPE preview_environments_capacity gauge
        preview_environments_capacity{repository="acme/shop"} 10
        # HELP preview_environments_queue_length Previews that wait for a slot.
        # TYPE preview_environments_queue_length gauge
        preview_environments_queue_length{repository="acme/shop"} 2
        # HELP preview_environments_swept Previews by what the last sweep did about them.
        # TYPE preview_environments_swept gauge
        preview_environments_swept{repository="acme/shop",measure="destroyed"} 1
        preview_environments_swept{repository="acme/shop",measure="left"} 0
        preview_environments_swept{repository="acme/shop",measure="put to sleep"} 0
        preview_environments_swept{repository="acme/shop",measure="warned"} 0
        preview_environments_swept{repository="acme/shop",measure="kept"} 0
        preview_environments_swept{repository="acme/shop",measure="requeued"} 1
        preview_environments_swept{repository="acme/shop",measure="renewed"} 0
        preview_environments_swept{repository="acme/shop",measure="pruned"} 0
        preview_environments_swept{repository="acme/shop",measure="retired"} 0
        preview_environments_swept{repository="acme/shop",measure="superseded"} 0
        preview_environments_swept{repository="acme/shop",measure="refused"} 0
        preview_environments_swept{repository="acme/shop",measure="failed"} 1
        # HELP preview_environments_approvals Runs that wait for approval by what the last sweep did about them.
        # TYPE preview_environments_approvals gauge
        preview_environments_approvals{repository="acme/shop",answer="cancelled"} 1
        preview_environments_approvals{repository="acme/shop",answer="kept"} 0
        preview_environments_approvals{repository="acme/shop",answer="failed"} 0
        # HELP preview_environments_sweep_success Whether the last sweep ended with exit code 0.
        # TYPE preview_environments_sweep_success gauge
        preview_environments_sweep_success{repository="acme/shop"} 0
        # HELP preview_environments_sweep_duration_seconds How long the last sweep took.
        # TYPE preview_environments_sweep_duration_seconds gauge
        preview_environments_sweep_duration_seconds{repository="acme/shop"} 12.340
        # HELP preview_environments_sweep_timestamp_seconds When the last sweep ended, in seconds since 1970.
        # TYPE preview_environments_sweep_timestamp_seconds gauge
        preview_environments_sweep_timestamp_seconds{repository="acme/shop"} 1766154720
        "#);
    }

    #[test]
    fn a_label_ends_where_it_should() {
        assert_eq!(Label("a\"b\\c\nd").to_string(), r#"a\"b\\c\nd"#);
    }
}
