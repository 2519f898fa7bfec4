//! Whether everything is there that a deploy needs: what was found, and how to mend it.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::markdown::{code_cell, inline};
use crate::names::RepositorySlug;

mod cluster;
mod token;

pub use cluster::{Class, default_or_named, network_policies, rights};
pub use token::{TokenFormat, enterprise_server, token};

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It is as it has to be.
    Good,
    /// It is missing, or not as it has to be.
    Missing,
    /// It cannot be known from here, or is for people to judge.
    Unknown,
}

impl Health {
    /// A sign for lists.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Missing => "✗",
            Self::Unknown => "–",
        }
    }
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The thing.
    pub what: String,
    /// How it is.
    pub health: Health,
    /// What was found of it.
    pub found: String,
    /// The command that mends it, or shows what cannot be known from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn new(what: impl fmt::Display, health: Health, found: impl fmt::Display) -> Self {
        Self {
            what: what.to_string(),
            health,
            found: found.to_string(),
            fix: None,
        }
    }

    /// It is as it has to be.
    #[must_use]
    pub fn good(what: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::new(what, Health::Good, found)
    }

    /// It is missing, or not as it has to be.
    #[must_use]
    pub fn missing(what: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::new(what, Health::Missing, found)
    }

    /// It cannot be known from here.
    #[must_use]
    pub fn unknown(what: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::new(what, Health::Unknown, found)
    }

    /// The same, with what to type.
    #[must_use]
    pub fn fixed_by(self, command: impl fmt::Display) -> Self {
        Self {
            fix: Some(command.to_string()),
            ..self
        }
    }
}

/// How many things are missing.
#[must_use]
pub fn missing(findings: &[Finding]) -> usize {
    let missing = |finding: &&Finding| finding.health == Health::Missing;
    findings.iter().filter(missing).count()
}

/// The findings as lines of a log: what, then what to type.
#[must_use]
pub fn lines(findings: &[Finding]) -> Vec<String> {
    let lines = findings.iter().flat_map(|finding| {
        let Finding { what, found, .. } = finding;
        let line = format!("{} {what}: {found}", finding.health.sign());
        let fix = finding.fix.iter().map(|fix| format!("    {fix}"));
        std::iter::once(line).chain(fix)
    });
    lines.collect()
}

/// The findings as a table in Markdown.
#[must_use]
pub fn markdown(findings: &[Finding]) -> String {
    let mut out = "| | What | Found | How to mend it |\n|---|---|---|---|\n".to_owned();
    for finding in findings {
        let fix = finding.fix.as_deref().map(code_cell).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {fix} |",
            finding.health.sign(),
            inline(&finding.what),
            inline(&finding.found)
        );
    }
    out
}

/// An environment of the repository on GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Whether somebody has to approve.
    pub has_reviewers: bool,
    /// Who may: logins of people, and names of teams.
    pub reviewers: Vec<String>,
    /// From where it can be used.
    pub branches: BranchRule,
}

/// From which branches an environment can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchRule {
    /// From any.
    All,
    /// From protected ones.
    Protected,
    /// From those of certain names.
    Named,
}

/// What an environment is for, and so what has to protect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A job waits in it for somebody who has looked at the pull request's head. It holds no secrets.
    Approval,
    /// It holds secrets, and nobody has to approve: somebody has by then.
    Secrets,
    /// It holds the secrets of production.
    Production,
}

/// Whether an environment is there and protected. One that a workflow merely names is created without any protection.
#[must_use]
pub fn environment(
    repository: &RepositorySlug,
    name: &str,
    purpose: Purpose,
    all: &[Environment],
) -> Finding {
    let what = format!("environment {name}");
    let fix = protect(repository, name, purpose);
    let found = all
        .iter()
        .find(|found| found.name.eq_ignore_ascii_case(name));
    let Some(found) = found else {
        return Finding::missing(
            what,
            "it is not there, and a workflow that names it creates it without protection",
        )
        .fixed_by(fix);
    };
    let branches = match found.branches {
        BranchRule::All => "usable from any branch",
        BranchRule::Protected => "limited to protected branches",
        BranchRule::Named => "limited to branches by name",
    };
    let reviewers = if found.has_reviewers {
        "somebody approves"
    } else {
        "nobody has to approve"
    };
    let told = format!("{branches}; {reviewers}");
    let is_protected = match purpose {
        Purpose::Approval => found.has_reviewers,
        Purpose::Secrets => found.branches != BranchRule::All && !found.has_reviewers,
        Purpose::Production => found.branches != BranchRule::All,
    };
    match is_protected {
        true => Finding::good(what, told),
        false => Finding::missing(what, told).fixed_by(fix),
    }
}

/// The command that makes an environment, or protects the one that is there.
fn protect(repository: &RepositorySlug, name: &str, purpose: Purpose) -> String {
    let rules = match purpose {
        Purpose::Approval => "-F 'reviewers[][type]=User' -F 'reviewers[][id]=ID'",
        Purpose::Secrets => {
            "-F reviewers=null -F 'deployment_branch_policy[protected_branches]=true' -F \
             'deployment_branch_policy[custom_branch_policies]=false'"
        }
        Purpose::Production => {
            "-F 'deployment_branch_policy[protected_branches]=true' -F \
             'deployment_branch_policy[custom_branch_policies]=false'"
        }
    };
    format!("gh api --method PUT repos/{repository}/environments/{name} {rules}")
}

/// A workflow of the repository on GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// Its file: `.github/workflows/ci.yml`.
    pub path: String,
    /// GitHub's word for whether it runs: `active`, `disabled_inactivity`, `disabled_manually`, ….
    pub state: String,
}

/// Whether the repository's workflows run: GitHub itself switches scheduled ones off after 60 days without activity in a
/// public repository. What somebody switched off is theirs to judge.
#[must_use]
pub fn workflows(repository: &RepositorySlug, all: &[Workflow]) -> Vec<Finding> {
    let named = |workflow: &Workflow| {
        let file = workflow.path.rsplit('/').next();
        file.unwrap_or_default().to_owned()
    };
    let off: Vec<Finding> = all
        .iter()
        .filter(|workflow| workflow.state.starts_with("disabled"))
        .map(|workflow| {
            let file = named(workflow);
            let what = format!("workflow {file}");
            let enable = format!("gh workflow enable {file} --repo {repository}");
            match workflow.state.as_str() {
                "disabled_manually" => Finding::unknown(what, "somebody switched it off"),
                "disabled_inactivity" => {
                    Finding::missing(what, "switched off after 60 days without activity")
                }
                other => Finding::missing(what, format!("switched off ({other})")),
            }
            .fixed_by(enable)
        })
        .collect();
    match off.is_empty() {
        true => vec![Finding::good(
            "workflows",
            format!("{} of them, none switched off", all.len()),
        )],
        false => off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> RepositorySlug {
        "acme/shop".parse().unwrap()
    }

    #[test]
    fn an_environment_is_judged_by_what_it_is_for() {
        let environment = |name: &str, purpose, found: &[Environment]| {
            let finding = environment(&shop(), name, purpose, found);
            lines(&[finding]).join("\n")
        };
        let found = |has_reviewers, branches| {
            [Environment {
                name: "Preview".to_owned(),
                has_reviewers,
                reviewers: Vec::new(),
                branches,
            }]
        };
        let told = [
            environment("preview", Purpose::Secrets, &[]),
            environment("preview", Purpose::Secrets, &found(true, BranchRule::All)),
            environment(
                "preview",
                Purpose::Secrets,
                &found(false, BranchRule::Protected),
            ),
            environment(
                "preview",
                Purpose::Secrets,
                &found(true, BranchRule::Protected),
            ),
            environment(
                "preview",
                Purpose::Approval,
                &found(false, BranchRule::Named),
            ),
            environment("preview", Purpose::Approval, &found(true, BranchRule::All)),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        ✗ environment preview: it is not there, and a workflow that names it creates it without protection
            gh api --method PUT repos/acme/shop/environments/preview -F reviewers=null -F 'deployment_branch_policy[protected_branches]=true' -F 'deployment_branch_policy[custom_branch_policies]=false'
        ✗ environment preview: usable from any branch; somebody approves
            gh api --method PUT repos/acme/shop/environments/preview -F reviewers=null -F 'deployment_branch_policy[protected_branches]=true' -F 'deployment_branch_policy[custom_branch_policies]=false'
        ✓ environment preview: limited to protected branches; nobody has to approve
        ✗ environment preview: limited to protected branches; somebody approves
            gh api --method PUT repos/acme/shop/environments/preview -F reviewers=null -F 'deployment_branch_policy[protected_branches]=true' -F 'deployment_branch_policy[custom_branch_policies]=false'
        ✗ environment preview: limited to branches by name; nobody has to approve
            gh api --method PUT repos/acme/shop/environments/preview -F 'reviewers[][type]=User' -F 'reviewers[][id]=ID'
        ✓ environment preview: usable from any branch; somebody approves
        ");
    }

    #[test]
    fn workflows_that_are_switched_off_are_told() {
        let workflow = |file: &str, state: &str| Workflow {
            path: format!(".github/workflows/{file}"),
            state: state.to_owned(),
        };
        let off = [
            workflow("ci.yml", "active"),
            workflow("sweep.yml", "disabled_inactivity"),
            workflow("old.yml", "disabled_manually"),
        ];
        insta::assert_snapshot!(lines(&workflows(&shop(), &off)).join("\n"), @r"
        ✗ workflow sweep.yml: switched off after 60 days without activity
            gh workflow enable sweep.yml --repo acme/shop
        – workflow old.yml: somebody switched it off
            gh workflow enable old.yml --repo acme/shop
        ");
        insta::assert_snapshot!(lines(&workflows(&shop(), &off[..1])).join("\n"), @"✓ workflows: 1 of them, none switched off");
    }

    #[test]
    fn a_table_shows_nothing_as_markup() {
        let finding = Finding::missing("a|b", "<html>").fixed_by("echo `a|b`");
        insta::assert_snapshot!(markdown(&[finding]), @r"
        | | What | Found | How to mend it |
        |---|---|---|---|
        | ✗ | a\|b | &lt;html&gt; | `` echo `a\|b` `` |
        ");
    }
}
