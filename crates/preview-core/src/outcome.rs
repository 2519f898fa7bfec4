//! How a run ended: its exit code, the effects it executed with their timings, and the `result.json` that tells both to
//! the next workflow.
//!
//! The list of executed effects *is* the audit record; progress displays and summaries are views of it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::approvals::Approval;
use crate::cleanup::images::CleanedImage;
use crate::deploy::{Approved, Need};
use crate::doctor::Finding;
use crate::health::{Failure, FailureClass};
use crate::names::{
    CommitSha, ComponentName, Fence, NamespaceName, PinnedImage, RepositorySlug, Subject,
};
use crate::plan::Planned;
use crate::previews::Listed;
use crate::promote::{Link, Told};
use crate::quota::Overdraft;
use crate::sweep::Swept;

/// The version of `result.json` that this version of the tool writes and reads.
pub const RESULT_SCHEMA: u32 = 1;

/// How a program ends, as its exit code tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Done, or there was nothing to do, or a newer run owns the work.
    Done,
    /// A rule said no; running again changes nothing until somebody acts.
    Refused,
    /// The arguments, the environment or the configuration are wrong.
    Misused,
    /// GitHub, the registry or the cluster failed, or what was deployed did; running again may help.
    OutsideFailed,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Misused => 2,
            Self::OutsideFailed => 3,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Misused => "misused",
            Self::OutsideFailed => "failed",
        })
    }
}

/// Which of the three programs ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Program {
    /// Makes and updates previews.
    #[serde(rename = "preview-deploy")]
    Deploy,
    /// Destroys them.
    #[serde(rename = "preview-cleanup")]
    Cleanup,
    /// Brings what was tested to production.
    #[serde(rename = "preview-promote")]
    Promote,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deploy => "preview-deploy",
            Self::Cleanup => "preview-cleanup",
            Self::Promote => "preview-promote",
        })
    }
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EffectResult {
    /// It was carried out.
    Done,
    /// It was so already.
    Unchanged,
    /// It failed, and this is the error.
    Failed(String),
}

impl fmt::Display for EffectResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Unchanged => f.write_str("unchanged"),
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}

/// One thing that a run did to the world outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Effect {
    /// What was done, a verb: `apply`, `delete`, `wait`, `comment`, ….
    pub what: String,
    /// To what: `Deployment/web`, `pull request #7`, ….
    pub object: String,
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What came of it.
    pub result: EffectResult,
}

/// The effects of a run in the order in which they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `what` was done to `object` from `started` until `ended`.
    ///
    /// A clock that was set back in between counts as no time.
    pub fn note(
        &mut self,
        what: impl Into<String>,
        object: impl Into<String>,
        started: Timestamp,
        ended: Timestamp,
        result: EffectResult,
    ) -> &Effect {
        let took = ended.as_millisecond() - started.as_millisecond();
        self.0.push(Effect {
            what: what.into(),
            object: object.into(),
            started,
            took_ms: u64::try_from(took).unwrap_or(0),
            result,
        });
        &self.0[self.0.len() - 1]
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Effect> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Effects {
    type Item = &'a Effect;
    type IntoIter = std::slice::Iter<'a, Effect>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Effect> for Effects {
    fn extend<T: IntoIterator<Item = Effect>>(&mut self, effects: T) {
        self.0.extend(effects);
    }
}

/// A part of a run, named after the phase that the preview, or the promotion, was in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhaseEntered {
    /// `observing`, then those of the lifecycle such as `provisioning` or `ready`; `verifying` and the like of a promotion.
    pub phase: String,
    /// When it began; it ends with the next one's beginning, the last one with the run.
    pub started: Timestamp,
}

/// One thing of a preview that should be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceiptItem {
    /// Which: `Namespace/preview-pr-7`, `PersistentVolume/pvc-…`, ….
    pub object: String,
    /// Whether it is gone.
    pub state: ReceiptState,
    /// How that is known, or what keeps it: the exact finalizer, condition or policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether a thing is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptState {
    /// It was verified to be gone.
    Gone,
    /// Something keeps it, and the teardown is not finished.
    Blocked,
    /// Its own policy keeps it; it holds nothing up and needs somebody's decision.
    Kept,
}

impl ReceiptState {
    /// A sign for lists.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Gone => "✅",
            Self::Blocked => "❌",
            Self::Kept => "⚠️",
        }
    }
}

impl fmt::Display for ReceiptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "gone",
            Self::Blocked => "still there",
            Self::Kept => "kept",
        })
    }
}

/// What a run leaves for people and for the next workflow: `result.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "result.json"))]
#[serde(deny_unknown_fields)]
pub struct ResultFile {
    /// The version of this format; reading any other fails.
    #[cfg_attr(feature = "schema", schemars(with = "u32", extend("const" = RESULT_SCHEMA)))]
    pub schema: Schema,
    /// Who wrote it.
    pub program: Program,
    /// The exit code's meaning.
    pub exit: Exit,
    /// One word: `deployed`, `destroyed`, `promoted`, `nothing`, `superseded`, `refused`, `failed`, ….
    pub verdict: String,
    /// One sentence on why, for people.
    pub reason: String,
    /// The repository.
    pub repository: Option<RepositorySlug>,
    /// The pull request or commit it was about, where that was found out.
    pub subject: Option<Subject>,
    /// The commit H (deploy) or M (promote).
    pub commit: Option<CommitSha>,
    /// This run, where it ran in Actions.
    pub run: Option<Fence>,
    /// The preview's or target's namespace.
    pub namespace: Option<NamespaceName>,
    /// Where the preview answers.
    pub url: Option<String>,
    /// The images by component.
    #[serde(default)]
    pub images: BTreeMap<ComponentName, PinnedImage>,
    /// Why it was refused, each with its next step.
    #[serde(default)]
    pub refusals: Vec<String>,
    /// Who needs how much of what the preview's quota limits too narrowly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraft: Option<Overdraft>,
    /// What a deploy would do to each object; only of a plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<Planned>,
    /// Whether everything is there that a deploy needs; only of a doctor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What a sweep did, preview by preview; those that it left as they are it does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swept: Vec<Swept>,
    /// Images that nothing needs any more: those that were deleted, and those that could not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleaned_images: Vec<CleanedImage>,
    /// What was done about runs that wait for approval; those that go on waiting as they should it does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Whether somebody has to approve the head before it runs; only of `preview-deploy ask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Need>,
    /// How often this run had been approved when `preview-deploy ask` showed what would be deployed: at earlier attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_before: Option<usize>,
    /// Who has approved the head, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approved>,
    /// All previews; only of a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previews: Vec<Listed>,
    /// The chain of evidence, from the merged commit to what the target runs; only of a promotion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Link>,
    /// The commit M, where all that keeps it from the target is that it was not tested: a preview of the commit by itself
    /// mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_commit: Option<CommitSha>,
    /// What was promoted, newest first; only of a history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Told>,
    /// What kind of failure it was: of what was deployed, or of GitHub, the registry, the cluster or the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// What was deployed and failed.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// What had to be gone, and is or is not.
    #[serde(default)]
    pub receipt: Vec<ReceiptItem>,
    /// What else there is to know, as the comment's remarks: Markdown, one line each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The phases it went through, in their order; the last one is where it ended.
    #[serde(default)]
    pub phases: Vec<PhaseEntered>,
    /// When the run began.
    pub started: Timestamp,
    /// How long the run took, in milliseconds.
    pub took_ms: u64,
    /// Everything that was done.
    pub effects: Effects,
}

impl ResultFile {
    /// A result with nothing but the verdict; the caller fills in what it knows.
    #[must_use]
    pub fn new(
        program: Program,
        exit: Exit,
        verdict: impl Into<String>,
        reason: impl Into<String>,
        started: Timestamp,
    ) -> Self {
        Self {
            schema: Schema,
            program,
            exit,
            verdict: verdict.into(),
            reason: reason.into(),
            repository: None,
            subject: None,
            commit: None,
            run: None,
            namespace: None,
            url: None,
            images: BTreeMap::new(),
            refusals: Vec::new(),
            overdraft: None,
            plan: Vec::new(),
            findings: Vec::new(),
            swept: Vec::new(),
            cleaned_images: Vec::new(),
            approvals: Vec::new(),
            approval: None,
            approvals_before: None,
            approved: None,
            previews: Vec::new(),
            chain: Vec::new(),
            test_commit: None,
            history: Vec::new(),
            class: None,
            failure: None,
            receipt: Vec::new(),
            notes: Vec::new(),
            phases: Vec::new(),
            started,
            took_ms: 0,
            effects: Effects::new(),
        }
    }

    /// Notes that a phase began; one that it is in already goes on.
    pub fn enter(&mut self, phase: &str, now: Timestamp) -> bool {
        if self.phase() == Some(phase) {
            return false;
        }
        self.phases.push(PhaseEntered {
            phase: phase.to_owned(),
            started: now,
        });
        true
    }

    /// The JSON schema of `result.json`, for whoever reads it.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema() -> serde_json::Value {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        settings
            .into_generator()
            .into_root_schema_for::<Self>()
            .to_value()
    }

    /// The phase it is in, or was in when it ended.
    #[must_use]
    pub fn phase(&self) -> Option<&str> {
        self.phases.last().map(|entered| entered.phase.as_str())
    }
}

/// [`RESULT_SCHEMA`] as a field: whatever else stands there is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Schema;

impl From<Schema> for u32 {
    fn from(Schema: Schema) -> Self {
        RESULT_SCHEMA
    }
}

impl TryFrom<u32> for Schema {
    type Error = OtherSchema;

    fn try_from(schema: u32) -> Result<Self, OtherSchema> {
        if schema == RESULT_SCHEMA {
            Ok(Self)
        } else {
            Err(OtherSchema(schema))
        }
    }
}

/// A `result.json` of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this result.json has schema {0}, and this version reads schema {RESULT_SCHEMA}; \
     use the same version of the tool in all workflows"
)]
pub struct OtherSchema(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn result() -> ResultFile {
        let started = at("2025-12-19T14:32:00Z");
        let mut result = ResultFile::new(
            Program::Deploy,
            Exit::Done,
            "deployed",
            "pull request #7 is ready",
            started,
        );
        result.subject = Some("pr-7".parse().unwrap());
        result.images.insert(
            "web".parse().unwrap(),
            format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64))
                .parse()
                .unwrap(),
        );
        result.effects.note(
            "apply",
            "Deployment/web",
            started,
            at("2025-12-19T14:32:00.125Z"),
            EffectResult::Done,
        );
        result.effects.note(
            "comment",
            "pull request #7",
            started,
            started,
            EffectResult::Failed("GitHub answered 502".into()),
        );
        result
    }

    #[test]
    fn exit_codes_are_a_promise_to_workflows() {
        let codes = [
            Exit::Done,
            Exit::Refused,
            Exit::Misused,
            Exit::OutsideFailed,
        ]
        .map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }

    #[test]
    fn a_result_survives_its_file() {
        let text = serde_json::to_string(&result()).unwrap();
        assert_eq!(serde_json::from_str::<ResultFile>(&text).unwrap(), result());
    }

    #[test]
    fn the_file_is_what_other_tools_read() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&result()).unwrap(), @r#"
        {
          "schema": 1,
          "program": "preview-deploy",
          "exit": "done",
          "verdict": "deployed",
          "reason": "pull request #7 is ready",
          "repository": null,
          "subject": "pr-7",
          "commit": null,
          "run": null,
          "namespace": null,
          "url": null,
          "images": {
            "web": "ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111"
          },
          "refusals": [],
          "failure": null,
          "receipt": [],
          "notes": [],
          "phases": [],
          "started": "2025-12-19T14:32:00Z",
          "took_ms": 0,
          "effects": [
            {
              "what": "apply",
              "object": "Deployment/web",
              "started": "2025-12-19T14:32:00Z",
              "took_ms": 125,
              "result": "done"
            },
            {
              "what": "comment",
              "object": "pull request #7",
              "started": "2025-12-19T14:32:00Z",
              "took_ms": 0,
              "result": {
                "failed": "GitHub answered 502"
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn another_schema_is_not_guessed_at() {
        let text = serde_json::to_string(&result())
            .unwrap()
            .replace("\"schema\":1", "\"schema\":2");
        let error = serde_json::from_str::<ResultFile>(&text).unwrap_err();
        assert!(
            error.to_string().contains("this version reads schema 1"),
            "{error}"
        );
    }

    #[test]
    fn a_clock_set_back_is_no_time_and_no_panic() {
        let mut effects = Effects::new();
        effects.note(
            "wait",
            "x",
            at("2025-12-19T14:32:00Z"),
            at("2025-12-19T14:31:00Z"),
            EffectResult::Done,
        );
        assert_eq!(effects.iter().map(|e| e.took_ms).sum::<u64>(), 0);
    }
}
