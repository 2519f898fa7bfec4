//! `[pull_requests]`: which of them get a preview.

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::patterns::patterns;
use super::quantity::Memory;
use super::read::check;
use crate::branches::BranchPattern;
use crate::layout::Limits;
use crate::paths::PathPatterns;

/// A label's name holds so many characters.
/// <https://docs.github.com/en/rest/issues/labels#create-a-label>
const LONGEST_LABEL: usize = 50;

/// Which pull requests somebody has to approve before they run on the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ApprovalOf {
    /// All.
    #[default]
    All,
    /// Those that come from forks, and those of bots.
    Forks,
    /// None: whoever may write to the repository may run anything on the cluster.
    None,
}

/// `[pull_requests]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct PullsFile {
    /// Only pull requests with this label get a preview; every one unless told.
    label: Option<String>,
    /// Labels of which one suffices for a pull request to get no preview.
    #[serde(default)]
    exclude_labels: Vec<String>,
    /// Labels of which one suffices for nothing new to be deployed: a preview that is there stays as it is.
    #[serde(default)]
    pause_labels: Vec<String>,
    /// Whether drafts get a preview.
    #[serde(default = "yes")]
    drafts: bool,
    /// Patterns of the branches that pull requests go into, such as `["main", "release/*"]`; every branch unless told.
    base_branches: Option<Vec<String>>,
    /// Patterns of paths, such as `["web/**", "api/**"]`: only pull requests that change a file at one of these get a
    /// preview; every one unless told.
    paths: Option<Vec<String>>,
    /// Patterns of the paths that do not count, such as `["docs/**", "**/*.md"]`: pull requests that change nothing
    /// else get no preview.
    exclude_paths: Option<Vec<String>>,
    /// Whether the pull requests of bots get a preview: of accounts that GitHub marks as such.
    #[serde(default = "yes")]
    bots: bool,
    /// Logins of authors whose pull requests get no preview, such as `dependabot[bot]`.
    #[serde(default)]
    exclude_authors: Vec<String>,
    /// What becomes of pull requests from forks, whose own runs may push no image.
    #[serde(default)]
    forks: Forks,
    /// How large the OCI layouts may be that `preview-deploy import` takes.
    #[serde(default)]
    import: ImportFile,
}

/// What becomes of pull requests from forks, whose own runs may push no image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Forks {
    /// A workflow of the default branch builds them once they are approved. They can be promoted.
    #[default]
    Build,
    /// As `build`; and what a fork's own workflow has built is previewed, too. That is never promoted.
    Import,
    /// They get no preview.
    None,
}

/// How large the OCI layouts may be that `preview-deploy import` takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct ImportFile {
    /// The most entries of one; 1000 unless told.
    entries: Option<usize>,
    /// The most bytes of one entry, such as a layer; `2Gi` unless told.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    blob: Option<Memory>,
    /// The most bytes of all entries of one together; `4Gi` unless told.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    whole: Option<Memory>,
}

impl ImportFile {
    fn limits(self) -> Limits {
        let default = Limits::default();
        Limits {
            entries: self.entries.unwrap_or(default.entries),
            blob: self.blob.map_or(default.blob, |blob| blob.bytes()),
            whole: self.whole.map_or(default.whole, |whole| whole.bytes()),
        }
    }
}

fn yes() -> bool {
    true
}

impl Default for PullsFile {
    fn default() -> Self {
        Self {
            label: None,
            exclude_labels: Vec::new(),
            pause_labels: Vec::new(),
            drafts: yes(),
            base_branches: None,
            paths: None,
            exclude_paths: None,
            bots: yes(),
            exclude_authors: Vec::new(),
            forks: Forks::default(),
            import: ImportFile::default(),
        }
    }
}

/// Which pull requests get a preview. Where nothing is said, all do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRules {
    /// The label that they must have.
    pub label: Option<String>,
    /// Labels that they must not have.
    pub exclude_labels: Vec<String>,
    /// Labels with which nothing new is deployed.
    pub pause_labels: Vec<String>,
    /// Whether drafts do.
    pub drafts: bool,
    /// The branches into which they go, of which one suffices; empty for all.
    pub base_branches: Vec<BranchPattern>,
    /// The files of which they must change one; empty for all.
    pub paths: PathPatterns,
    /// The files that do not count.
    pub exclude_paths: PathPatterns,
    /// Whether those of bots do.
    pub bots: bool,
    /// The authors whose do not.
    pub exclude_authors: Vec<String>,
    /// What becomes of those from forks.
    pub forks: Forks,
    /// How large the OCI layouts may be that are imported for them.
    pub import: Limits,
}

impl Default for PullRules {
    fn default() -> Self {
        Self {
            label: None,
            exclude_labels: Vec::new(),
            pause_labels: Vec::new(),
            drafts: true,
            base_branches: Vec::new(),
            paths: PathPatterns::default(),
            exclude_paths: PathPatterns::default(),
            bots: true,
            exclude_authors: Vec::new(),
            forks: Forks::default(),
            import: Limits::default(),
        }
    }
}

pub(super) fn pulls(source: &Source<'_>, written: PullsFile) -> Result<PullRules, ConfigError> {
    const TABLE: &str = "pull_requests";
    for (key, names) in [
        ("label", written.label.as_slice()),
        ("exclude_labels", &written.exclude_labels),
        ("pause_labels", &written.pause_labels),
    ] {
        for name in names {
            label(source, &[TABLE, key], name)?;
        }
    }
    for login in &written.exclude_authors {
        check(
            source,
            is_login(login),
            &[TABLE, "exclude_authors"],
            format!("{login:?} is no login; write it like octocat or dependabot[bot]"),
        )?;
    }
    Ok(PullRules {
        label: written.label,
        exclude_labels: written.exclude_labels,
        pause_labels: written.pause_labels,
        drafts: written.drafts,
        base_branches: branches(source, &[TABLE, "base_branches"], written.base_branches)?,
        paths: patterns(source, &[TABLE, "paths"], written.paths)?,
        exclude_paths: patterns(source, &[TABLE, "exclude_paths"], written.exclude_paths)?,
        bots: written.bots,
        exclude_authors: written.exclude_authors,
        forks: written.forks,
        import: written.import.limits(),
    })
}

pub(super) fn label(source: &Source<'_>, key: &[&str], name: &str) -> Result<(), ConfigError> {
    let good = (1..=LONGEST_LABEL).contains(&name.chars().count())
        && !name.contains(',')
        && name.trim() == name;
    let problem = format!(
        "{name:?} is no name of a label: 1 to {LONGEST_LABEL} characters, no comma, and no blank at either end"
    );
    check(source, good, key, problem)
}

fn branches(
    source: &Source<'_>,
    key: &[&str],
    written: Option<Vec<String>>,
) -> Result<Vec<BranchPattern>, ConfigError> {
    let Some(written) = written else {
        return Ok(Vec::new());
    };
    check(
        source,
        !written.is_empty(),
        key,
        "no branches, so no pull request would get a preview; write it like [\"main\"], or leave the key out",
    )?;
    let parsed = written.iter().map(|text| text.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|not_one| source.wrong(key, not_one))
}

/// Letters, digits, - and, of managed users, _; an App's ends with `[bot]`.
/// <https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication>
fn is_login(text: &str) -> bool {
    let name = text.strip_suffix("[bot]").unwrap_or(text);
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(keys: &str) -> Result<PullRules, ConfigError> {
        let text = format!(
            "host = \"{{pr}}.pr.example.com\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n{keys}"
        );
        Config::parse("preview.toml", &text).map(|config| config.pull_requests)
    }

    #[test]
    fn without_a_word_every_pull_request_gets_a_preview() {
        assert_eq!(read("").unwrap(), PullRules::default());
        assert_eq!(read("[pull_requests]\n").unwrap(), PullRules::default());
    }

    #[test]
    fn every_rule_can_be_written() {
        let rules = read(
            r#"
            [pull_requests]
            label = "preview"
            exclude_labels = ["no preview"]
            pause_labels = ["preview-paused"]
            drafts = false
            base_branches = ["main", "release/*"]
            paths = ["web/**"]
            exclude_paths = ["**/*.md"]
            bots = false
            exclude_authors = ["acme-ci", "renovate[bot]"]
            forks = "import"
            import = { entries = 50, blob = "1Gi", whole = "1500Mi" }
            "#,
        );
        insta::assert_debug_snapshot!(rules.unwrap(), @r#"
        PullRules {
            label: Some(
                "preview",
            ),
            exclude_labels: [
                "no preview",
            ],
            pause_labels: [
                "preview-paused",
            ],
            drafts: false,
            base_branches: [
                "main",
                "release/*",
            ],
            paths: PathPatterns(
                [
                    "web/**",
                ],
            ),
            exclude_paths: PathPatterns(
                [
                    "**/*.md",
                ],
            ),
            bots: false,
            exclude_authors: [
                "acme-ci",
                "renovate[bot]",
            ],
            forks: Import,
            import: Limits {
                entries: 50,
                blob: 1073741824,
                whole: 1572864000,
            },
        }
        "#);
    }

    #[test]
    fn what_could_never_be_meant_is_refused_at_its_place() {
        let refused = [
            "labels = \"preview\"",
            "label = \"\"",
            "exclude_labels = [\"one, two\"]",
            "pause_labels = [\" paused\"]",
            "drafts = \"no\"",
            "base_branches = []",
            "base_branches = [\"refs/heads/main\"]",
            "paths = [\"/web/**\"]",
            "exclude_paths = []",
            "exclude_authors = [\"@octocat\"]",
            "forks = \"yes\"",
            "import = { layer = \"1Gi\" }",
            "import.blob = \"much\"",
        ]
        .map(|key| {
            read(&format!("[pull_requests]\n{key}"))
                .unwrap_err()
                .to_string()
        });
        insta::assert_snapshot!(refused.join("\n"), @r#"
        preview.toml:5: pull_requests.labels: unknown key; did you mean `label`?
        preview.toml:5: pull_requests.label: "" is no name of a label: 1 to 50 characters, no comma, and no blank at either end
        preview.toml:5: pull_requests.exclude_labels: "one, two" is no name of a label: 1 to 50 characters, no comma, and no blank at either end
        preview.toml:5: pull_requests.pause_labels: " paused" is no name of a label: 1 to 50 characters, no comma, and no blank at either end
        preview.toml:5: pull_requests.drafts: invalid type: string "no", expected a boolean
        preview.toml:5: pull_requests.base_branches: no branches, so no pull request would get a preview; write it like ["main"], or leave the key out
        preview.toml:5: pull_requests.base_branches: "refs/heads/main" is no pattern of branches: branches go by their short name; leave refs/heads/ out
        preview.toml:5: pull_requests.paths: "/web/**" is no pattern of paths: paths are relative to the repository's root; leave the first / out
        preview.toml:5: pull_requests.exclude_paths: no patterns, so no file is meant; write it like ["web/**"], or leave the key out
        preview.toml:5: pull_requests.exclude_authors: "@octocat" is no login; write it like octocat or dependabot[bot]
        preview.toml:5: pull_requests.forks: unknown variant `yes`, expected one of `build`, `import`, `none`
        preview.toml:5: pull_requests.import.layer: unknown key; there are: entries, blob, whole
        preview.toml:5: pull_requests.import.blob: "much" is not an amount of bytes such as "512Mi" or "1Gi"
        "#);
    }
}
