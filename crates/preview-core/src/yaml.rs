//! YAML as Kubernetes' tools read it, into JSON.

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Options, Spanned, UserMessageFormatter};

/// How many values a file's anchors may come to altogether: no manifest of a person has as many.
const REPLAYED: usize = 50_000;

/// One document of a YAML file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The line that its content begins in, counted from 1.
    pub line: u64,
    /// What it says.
    pub value: Value,
}

/// A text that is no YAML, or none that has a meaning in JSON. It quotes nothing of the text: a Secret may be in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: no YAML: {problem}; correct it there")]
pub struct NotYaml {
    file: String,
    problem: String,
}

/// All documents of `text`, which errors call `file`; empty ones are left out.
///
/// Plain scalars mean what they mean to Kubernetes' own tools, which speak YAML 1.1: `0644` is octal, `yes` and `on` are
/// true. A key that is there twice is refused, as `kubectl` does. <https://github.com/kubernetes-sigs/yaml>
///
/// # Errors
/// When it is no YAML, has anchors that grow without bounds, or a number that JSON has not.
pub fn documents(file: &str, text: &str) -> Result<Vec<Document>, NotYaml> {
    let read: Vec<Spanned<Value>> = serde_saphyr::from_multiple_with_options(text, options())
        .map_err(|error| NotYaml {
            file: file.to_owned(),
            problem: error.render_with_formatter(&UserMessageFormatter),
        })?;
    let documents = read.into_iter().map(|read| Document {
        line: read.referenced.line(),
        value: read.value,
    });
    Ok(documents
        .filter(|document| !document.value.is_null())
        .collect())
}

fn options() -> Options {
    let mut options = Options::default();
    options.legacy_octal_numbers = true;
    options.strict_booleans = false;
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.with_snippet = false;
    options.alias_limits.max_total_replayed_events = REPLAYED;
    options
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_told_apart_and_scalars_mean_what_they_mean_to_kubectl() {
        let text =
            "mode: 0644\nplain: yes\nquoted: \"yes\"\nport: \"5432\"\n---\n# nothing\n---\n- a\n";
        let first = json!({ "mode": 420, "plain": true, "quoted": "yes", "port": "5432" });
        let found = documents("x.yaml", text).unwrap();
        let found: Vec<(u64, &Value)> = found.iter().map(|d| (d.line, &d.value)).collect();
        assert_eq!(found, [(1, &first), (8, &json!(["a"]))]);
    }

    #[test]
    fn what_is_no_yaml_is_told_by_its_place_and_not_by_its_content() {
        let wrong = |text: &str| documents("x.yaml", text).unwrap_err().to_string();
        insta::assert_snapshot!(wrong("password: hunter2: x\n"), @"x.yaml: no YAML: mapping values are not allowed in this context at line 1, column 18; correct it there");
        insta::assert_snapshot!(wrong("kind: A\nkind: B\n"), @"x.yaml: no YAML: duplicate mapping key `kind` is not allowed here at line 2, column 1; correct it there");
        let laughs = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n\
                      d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n\
                      g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: [*g, *g, *g, *g, *g, *g, *g, *g, *g]\n";
        assert!(documents("x.yaml", laughs).is_err());
    }
}
