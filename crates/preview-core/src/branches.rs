//! Patterns of branches, as a configuration writes them.

use std::fmt;
use std::str::FromStr;

use crate::paths::PathPattern;

/// Which branches are meant, such as `main` or `release/*`.
///
/// The whole name must match, as paths do in a [`PathPattern`]: `*` stops at `/`, `**` goes on.
#[derive(Clone, PartialEq, Eq)]
pub struct BranchPattern(PathPattern);

impl BranchPattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it means the branch of this name.
    #[must_use]
    pub fn means(&self, branch: &str) -> bool {
        self.0.means(branch)
    }
}

/// A text that is no pattern of branches: what is wrong with it, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no pattern of branches: {why}")]
pub struct NotAPattern {
    text: String,
    why: String,
}

/// What would parse and could never match a branch.
/// <https://git-scm.com/docs/git-check-ref-format>
fn never_matches(text: &str) -> Option<&'static str> {
    let odd = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with('.');
    Some(match text {
        "" => "it is empty; ** means every branch",
        _ if text.starts_with('!') => "there is no negation; name the branches that are meant",
        _ if text.starts_with("refs/") => "branches go by their short name; leave refs/heads/ out",
        _ if text.split('/').any(odd) => {
            "no branch can have such a name; write it like main or release/*"
        }
        _ => return None,
    })
}

impl FromStr for BranchPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let not_one = |why: &str| NotAPattern {
            text: text.chars().take(120).collect(),
            why: why.to_owned(),
        };
        if let Some(why) = never_matches(text) {
            return Err(not_one(why));
        }
        let pattern = text.parse::<PathPattern>();
        pattern.map(Self).map_err(|error| not_one(error.why()))
    }
}

impl fmt::Display for BranchPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BranchPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_whole_names_and_stars_stop_at_slashes() {
        for (pattern, branch, means) in [
            ("main", "main", true),
            ("main", "maintenance", false),
            ("release/*", "release/2.1", true),
            ("release/*", "release/2/hotfix", false),
            ("release/**", "release/2/hotfix", true),
            ("{main,develop}", "develop", true),
            ("v[0-9]", "v2", true),
            ("**", "a/b/c", true),
        ] {
            let parsed: BranchPattern = pattern.parse().unwrap();
            assert_eq!(parsed.means(branch), means, "{pattern} {branch}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn what_can_mean_no_branch_is_refused_with_what_to_write() {
        let refused = [
            "",
            "!main",
            "refs/heads/main",
            "/main",
            "release/",
            "a//b",
            "../main",
            "[a",
        ]
        .map(|text| text.parse::<BranchPattern>().unwrap_err().to_string());
        insta::assert_snapshot!(refused.join("\n"), @r#"
        "" is no pattern of branches: it is empty; ** means every branch
        "!main" is no pattern of branches: there is no negation; name the branches that are meant
        "refs/heads/main" is no pattern of branches: branches go by their short name; leave refs/heads/ out
        "/main" is no pattern of branches: no branch can have such a name; write it like main or release/*
        "release/" is no pattern of branches: no branch can have such a name; write it like main or release/*
        "a//b" is no pattern of branches: no branch can have such a name; write it like main or release/*
        "../main" is no pattern of branches: no branch can have such a name; write it like main or release/*
        "[a" is no pattern of branches: unclosed character class; missing ']'
        "#);
    }
}
