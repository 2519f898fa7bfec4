//! `${PR_NUMBER}` and the rest of the fixed set, in manifests that are templates.
//!
//! Values are substituted after parsing: a text stays a text, whatever is put into it, where substituting the file's
//! text would make a number of `"${PR_NUMBER}"`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Puts values in the place of variables, and remembers what it did not know.
#[derive(Debug)]
pub(super) struct Substitution<'a> {
    values: &'a BTreeMap<String, String>,
    /// Names that stand for nothing. They are left as they are: a shell may know them.
    pub(super) unknown: BTreeSet<String>,
}

impl<'a> Substitution<'a> {
    pub(super) fn of(values: &'a BTreeMap<String, String>) -> Self {
        Self {
            values,
            unknown: BTreeSet::new(),
        }
    }

    /// Every text in `value`, keys excepted.
    pub(super) fn apply(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if text.contains("${") => *text = self.text(text),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.apply(element)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.apply(field)),
            _ => {}
        }
    }

    /// `${NAME}`, `${NAME:-default}` and `${NAME:=default}` become the value; `$${` is `${` itself, as with Flux.
    /// <https://fluxcd.io/flux/components/kustomize/kustomizations/#post-build-variable-substitution>
    fn text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            let inner = &from[2..];
            if let Some(before) = before.strip_suffix('$') {
                out += before;
                out += "${";
                rest = inner;
                continue;
            }
            out += before;
            let name = name(inner);
            match (self.values.get(name), end(&inner[name.len()..])) {
                (Some(value), Some(length)) => {
                    out += value;
                    rest = &inner[name.len() + length..];
                }
                (_, end) => {
                    if end.is_some() && !name.is_empty() {
                        self.unknown.insert(name.to_owned());
                    }
                    out += "${";
                    rest = inner;
                }
            }
        }
        out + rest
    }
}

/// The name that `text` begins with.
fn name(text: &str) -> &str {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => "",
        false => &text[..end],
    }
}

/// How much of `text` belongs to the variable after its name: `}`, or a default and `}`.
fn end(text: &str) -> Option<usize> {
    if text.starts_with('}') {
        return Some(1);
    }
    let has_default = text.starts_with(":-") || text.starts_with(":=");
    let close = text.find('}').filter(|_| has_default)?;
    Some(close + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_of_the_fixed_set_become_their_values_and_others_are_left_and_told() {
        let values = [("PR_NUMBER", "7"), ("HOST_WEB", "7.pr.example.com")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let values = BTreeMap::from(values);
        let mut substitution = Substitution::of(&values);
        for (written, becomes) in [
            ("${PR_NUMBER}", "7"),
            (
                "https://${HOST_WEB}/${PR_NUMBER}?",
                "https://7.pr.example.com/7?",
            ),
            ("${PR_NUMBER:-1}-${PR_NUMBER:=1}", "7-7"),
            ("$${PR_NUMBER} $PR_NUMBER ${", "${PR_NUMBER} $PR_NUMBER ${"),
            ("for f in ${FILES}; do", "for f in ${FILES}; do"),
            ("${#A} ${1} ${LOG%.gz} ${}", "${#A} ${1} ${LOG%.gz} ${}"),
            ("${PR_NUMBER%0} ${PR_NUMBER", "${PR_NUMBER%0} ${PR_NUMBER"),
            ("${PORT:-${PR_NUMBER}}", "${PORT:-7}"),
            ("ö${PR_NUMBER}ö", "ö7ö"),
        ] {
            assert_eq!(substitution.text(written), becomes, "{written}");
        }
        let unknown: Vec<&str> = substitution.unknown.iter().map(String::as_str).collect();
        assert_eq!(unknown, ["FILES", "PORT"]);
    }

    #[test]
    fn a_text_stays_a_text_and_keys_stay_as_they_are() {
        let values = BTreeMap::from([("PR_NUMBER".to_owned(), "7".to_owned())]);
        let mut value = json!({ "data": { "${PR_NUMBER}": "${PR_NUMBER}" }, "list": ["a", "x-${PR_NUMBER}"], "n": 1 });
        Substitution::of(&values).apply(&mut value);
        assert_eq!(
            value,
            json!({ "data": { "${PR_NUMBER}": "7" }, "list": ["a", "x-7"], "n": 1 })
        );
    }
}
