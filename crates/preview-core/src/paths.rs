//! Patterns of paths in a repository, as a configuration writes them.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobBuilder, GlobMatcher};

/// Which files of a repository are meant, such as `web/**` or `api/migrations/*.sql`.
///
/// The whole path must match, from the repository's root: `*` and `?` stand for anything but `/`, `**` for whole folders,
/// `[a-z]` for one character of these and `{a,b}` for either. Upper and lower case differ, as in git.
/// <https://docs.rs/globset/0.4/globset/#syntax>
#[derive(Clone)]
pub struct PathPattern {
    glob: Glob,
    matcher: GlobMatcher,
}

impl PathPattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.glob.glob()
    }

    /// Whether it means the file at `path`, which is relative to the repository's root, as GitHub gives it.
    #[must_use]
    pub fn means(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }
}

/// A text that is no pattern of paths: what is wrong with it, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no pattern of paths: {why}")]
pub struct NotAPattern {
    text: String,
    why: String,
}

impl NotAPattern {
    /// What is wrong, and what to write instead.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    fn new(text: &str, why: impl Into<String>) -> Self {
        Self {
            text: text.chars().take(120).collect(),
            why: why.into(),
        }
    }
}

/// What would parse and could never match a file.
fn never_matches(text: &str) -> Option<String> {
    let part = |wanted: &str| text.split('/').any(|part| part == wanted);
    Some(match text {
        "" => "it is empty; ** means every file".to_owned(),
        _ if text.starts_with('!') => {
            "there is no negation; name the paths that are meant".to_owned()
        }
        _ if text.starts_with('/') => {
            "paths are relative to the repository's root; leave the first / out".to_owned()
        }
        _ if part(".") || part("..") => {
            "paths have no . or .. in them; write them from the repository's root".to_owned()
        }
        _ if text.ends_with('/') => {
            format!("only files are compared; write {text}** for all in that folder")
        }
        _ if text.contains("//") => "there is a / too many".to_owned(),
        _ => return None,
    })
}

impl FromStr for PathPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        if let Some(why) = never_matches(text) {
            return Err(NotAPattern::new(text, why));
        }
        let glob = GlobBuilder::new(text)
            // Otherwise `*` would go through folders, unlike everywhere else.
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| NotAPattern::new(text, error.kind().to_string()))?;
        let matcher = glob.compile_matcher();
        Ok(Self { glob, matcher })
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for PathPattern {}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Patterns of which one suffices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathPatterns(Vec<PathPattern>);

impl PathPatterns {
    /// Whether there is no pattern, so that no file is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = &PathPattern> {
        self.0.iter()
    }

    /// Whether one of them means the file at `path`.
    #[must_use]
    pub fn mean(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| pattern.means(path))
    }
}

impl FromIterator<PathPattern> for PathPatterns {
    fn from_iter<I: IntoIterator<Item = PathPattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

impl fmt::Display for PathPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.0.iter().map(PathPattern::as_str).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_whole_paths_and_stars_stop_at_folders() {
        for (pattern, path, means) in [
            ("web/**", "web/src/main.rs", true),
            ("web/**", "web/.env", true),
            ("web/**", "web", false),
            ("web/**", "website/index.html", false),
            ("web/**", "api/web/x", false),
            ("**", "README.md", true),
            ("**/*.sql", "first.sql", true),
            ("**/*.sql", "api/migrations/0001.sql", true),
            ("api/migrations/*.sql", "api/migrations/0001.sql", true),
            ("api/migrations/*.sql", "api/migrations/old/0001.sql", false),
            ("api/migrations/*.sql", "api/migrations/0001.SQL", false),
            ("{web,shared}/**", "shared/a", true),
            ("Cargo.*", "Cargo.lock", true),
            ("Cargo.*", "web/Cargo.lock", false),
            ("a[0-9]", "a7", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            let parsed: PathPattern = pattern.parse().unwrap();
            assert_eq!(parsed.means(path), means, "{pattern} {path}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn one_of_several_patterns_suffices_and_none_means_nothing() {
        let patterns: PathPatterns = ["web/**", "Cargo.lock"]
            .into_iter()
            .map(|pattern| pattern.parse().unwrap())
            .collect();
        assert!(patterns.mean("Cargo.lock") && patterns.mean("web/a"));
        assert!(!patterns.mean("api/a") && !PathPatterns::default().mean("web/a"));
        assert_eq!(patterns.to_string(), "web/**, Cargo.lock");
    }

    #[test]
    fn what_can_mean_no_file_is_refused_with_what_to_write() {
        let refused = [
            "",
            "/web/**",
            "./web/**",
            "web/../api/**",
            "web/",
            "web//x",
            "!web/**",
            "web/[a",
            "{a",
            "a\\",
        ]
        .map(|text| text.parse::<PathPattern>().unwrap_err().to_string());
        insta::assert_snapshot!(refused.join("\n"), @r#"
        "" is no pattern of paths: it is empty; ** means every file
        "/web/**" is no pattern of paths: paths are relative to the repository's root; leave the first / out
        "./web/**" is no pattern of paths: paths have no . or .. in them; write them from the repository's root
        "web/../api/**" is no pattern of paths: paths have no . or .. in them; write them from the repository's root
        "web/" is no pattern of paths: only files are compared; write web/** for all in that folder
        "web//x" is no pattern of paths: there is a / too many
        "!web/**" is no pattern of paths: there is no negation; name the paths that are meant
        "web/[a" is no pattern of paths: unclosed character class; missing ']'
        "{a" is no pattern of paths: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
        "a\\" is no pattern of paths: dangling '\'
        "#);
    }
}
