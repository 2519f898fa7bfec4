//! `[promote.require_attestation]`: which workflow must have built what is promoted.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::read::{check, value};
use crate::attestation::Demand;
use crate::names::{CommitSha, NotA, RepositorySlug};
use crate::pulls::Repository;

/// `[promote.require_attestation]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct AttestationFile {
    /// The workflow that must have built the images: its file in this repository, such as `.github/workflows/build.yml`,
    /// or a reusable one of another, such as `acme/ci/.github/workflows/build.yml`.
    workflow: String,
    /// The ref that this file must have been taken from, such as `refs/heads/main`, `refs/tags/v1` or a commit; this
    /// repository's default branch unless told. A pull request's author writes what is on its branch.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Whether a runner counts that is not GitHub's own.
    #[serde(default)]
    self_hosted: bool,
    /// A file of this repository with the authorities that are trusted, as `gh attestation trusted-root` prints them;
    /// those that the program came with unless told.
    trust_root: Option<String>,
}

/// Which workflow must have built what is promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationSettings {
    /// The workflow.
    pub workflow: WorkflowFile,
    /// The ref that its file must have been taken from; the default branch's unless told.
    pub reference: Option<WorkflowRef>,
    /// Whether a runner counts that is not GitHub's own.
    pub self_hosted: bool,
    /// A file of the authorities that are trusted, below the checkout.
    pub trust_root: Option<String>,
}

impl AttestationSettings {
    /// What must be said of the images of this repository.
    #[must_use]
    pub fn demand(&self, repository: &Repository) -> Demand {
        let default_ref = format!("refs/heads/{}", repository.default_branch);
        let reference = self.reference.as_ref().map(WorkflowRef::as_str);
        let of = self.workflow.repository.as_ref();
        Demand {
            signer: Demand::signer(
                of.unwrap_or(&repository.slug),
                &self.workflow.path,
                reference.unwrap_or(&default_ref),
            ),
            self_hosted: self.self_hosted,
            repository: repository.id,
            default_ref,
        }
    }
}

/// The file of a workflow. GitHub finds workflows in this one folder.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowFile {
    /// The repository, where it is another one.
    pub repository: Option<RepositorySlug>,
    /// Its path, such as `.github/workflows/build.yml`.
    pub path: String,
}

impl FromStr for WorkflowFile {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        const EXPECTED: &str = "the file of a workflow, such as .github/workflows/build.yml or acme/ci/.github/workflows/build.yml";
        let refused = || NotA::new(text, EXPECTED);
        let at = text.find(".github/workflows/").ok_or_else(refused)?;
        let (repository, path) = text.split_at(at);
        let name = path.trim_start_matches(".github/workflows/");
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let stem = name
            .strip_suffix(".yml")
            .or_else(|| name.strip_suffix(".yaml"));
        if !stem.is_some_and(|stem| !stem.is_empty() && stem.bytes().all(is_plain)) {
            return Err(refused());
        }
        let repository = match repository.strip_suffix('/') {
            None if repository.is_empty() => None,
            None => return Err(refused()),
            Some(slug) => Some(slug.parse().map_err(|_| refused())?),
        };
        Ok(Self {
            repository,
            path: path.to_owned(),
        })
    }
}

/// What a workflow's file is taken from: a branch, a tag or a commit, as a certificate names it.
#[derive(Clone, PartialEq, Eq)]
pub struct WorkflowRef(String);

impl WorkflowRef {
    /// As it is written: `refs/heads/main`, `refs/tags/v1`, or 40 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WorkflowRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkflowRef {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let name = ["refs/heads/", "refs/tags/"]
            .into_iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        if name.is_some_and(is_name) || text.parse::<CommitSha>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        // Least of all refs/pull/…: the pull request's author writes what is there.
        let expected =
            "a branch, a tag or a commit, such as refs/heads/main, refs/tags/v1 or 40 hex digits";
        Err(NotA::new(text, expected))
    }
}

pub(super) fn attestation(
    source: &Source<'_>,
    written: AttestationFile,
) -> Result<AttestationSettings, ConfigError> {
    let at = |key: &'static str| ["promote", "require_attestation", key];
    let workflow: WorkflowFile = value(source, &at("workflow"), &written.workflow)?;
    let reference = written.reference;
    let reference = reference
        .map(|text| value(source, &at("ref"), &text))
        .transpose()?;
    check(
        source,
        workflow.repository.is_none() || reference.is_some(),
        &at("workflow"),
        "a workflow of another repository, whose default branch is not known here; write ref, too, such as \
         ref = \"refs/heads/main\"",
    )?;
    if let Some(path) = &written.trust_root {
        check(
            source,
            is_file(path),
            &at("trust_root"),
            "no file of this repository; write it from its root, like .github/trusted-root.jsonl",
        )?;
    }
    Ok(AttestationSettings {
        workflow,
        reference,
        self_hosted: written.self_hosted,
        trust_root: written.trust_root,
    })
}

/// A plain path that stays below the checkout.
fn is_file(text: &str) -> bool {
    text.split('/')
        .all(|part| !part.is_empty() && !matches!(part, "." | ".."))
}
