//! Keys that name files of the repository.

use super::error::{ConfigError, Source};
use crate::paths::{PathPattern, PathPatterns};

/// The patterns written at `key`; none where the key is left out.
///
/// # Errors
/// When there are none although the key is there, or one of them can mean no file.
pub(super) fn patterns(
    source: &Source<'_>,
    key: &[&str],
    written: Option<Vec<String>>,
) -> Result<PathPatterns, ConfigError> {
    let Some(written) = written else {
        return Ok(PathPatterns::default());
    };
    if written.is_empty() {
        return Err(source.wrong(
            key,
            "no patterns, so no file is meant; write it like [\"web/**\"], or leave the key out",
        ));
    }
    let parsed = written.iter().map(|text| text.parse::<PathPattern>());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|not_one| source.wrong(key, not_one))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn web(unchanged: &str) -> String {
        let text = format!(
            "host = \"{{pr}}.pr.example.com\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n{unchanged}"
        );
        match Config::parse("preview.toml", &text) {
            Ok(config) => config.components[0].unchanged.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn patterns_are_read_as_they_are_written_or_refused_with_their_place() {
        let read = [
            "unchanged = [\"web/**\", \"Cargo.lock\"]",
            "",
            "unchanged = []",
            "unchanged = [\"web/**\", \"./shared/**\"]",
            "unchanged = \"web/**\"",
            "unchangd = [\"web/**\"]",
        ]
        .map(web);
        insta::assert_snapshot!(read.join("\n"), @r#"
        web/**, Cargo.lock

        preview.toml:4: components.web.unchanged: no patterns, so no file is meant; write it like ["web/**"], or leave the key out
        preview.toml:4: components.web.unchanged: "./shared/**" is no pattern of paths: paths have no . or .. in them; write them from the repository's root
        preview.toml:4: components.web.unchanged: invalid type: string "web/**", expected a sequence
        preview.toml:4: components.web.unchangd: unknown key; did you mean `unchanged`?
        "#);
    }
}
