//! Manifests that somebody wrote, as they came: nothing is believed of them yet.

use std::fmt;

use serde_json::Value;

use crate::yaml::{self, NotYaml};

/// The annotation in which kustomize tells which file an object is from, where an overlay asks for it
/// (`buildMetadata: [originAnnotations]`).
/// <https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/buildmetadata/>
pub(super) const ORIGIN: &str = "config.kubernetes.io/origin";

/// Manifests that somebody wrote or rendered, for a preview to be made of.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) objects: Vec<Written>,
}

/// One of them. Its `Debug` keeps its body to itself: a Secret may be among them.
#[derive(Clone)]
pub(super) struct Written {
    /// The file that it is from where that is known, else the line of what was read.
    pub(super) place: String,
    pub(super) body: Value,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({})", self.place)
    }
}

impl Source {
    /// The objects in the YAML (or JSON) `text`, which refusals call `file`; those of a `List` each for itself.
    ///
    /// # Errors
    /// When it is no YAML.
    pub fn parse(file: &str, text: &str) -> Result<Self, NotYaml> {
        let mut objects = Vec::new();
        for document in yaml::documents(file, text)? {
            let place = format!("{file}:{}", document.line);
            collect(document.value, &place, &mut objects);
        }
        Ok(Self { objects })
    }

    /// The same objects, each placed in the file that `file_of` knows for its kind and name.
    #[must_use]
    pub fn placed(mut self, file_of: impl Fn(&str, &str) -> Option<String>) -> Self {
        for written in &mut self.objects {
            let text = |at: &str| written.body.pointer(at).and_then(Value::as_str);
            let known = text("/kind").zip(text("/metadata/name"));
            if let Some(file) = known.and_then(|(kind, name)| file_of(kind, name)) {
                written.place = file;
            }
        }
        self
    }
}

fn collect(body: Value, place: &str, objects: &mut Vec<Written>) {
    match body {
        Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
            let Some(Value::Array(items)) = list.remove("items") else {
                return;
            };
            for item in items {
                collect(item, place, objects);
            }
        }
        body => objects.push(Written {
            place: origin(&body).unwrap_or_else(|| place.to_owned()),
            body,
        }),
    }
}

/// The file that kustomize says it is from.
fn origin(body: &Value) -> Option<String> {
    let told = body["metadata"]["annotations"][ORIGIN].as_str()?;
    let told = yaml::documents(ORIGIN, told).ok()?;
    let path = told.first()?.value["path"].as_str()?;
    Some(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_placed_by_line_by_kustomize_s_word_or_by_who_knows_its_file() {
        let text = "kind: A\nmetadata: { name: a }\n---\nkind: B\nmetadata:\n  annotations:\n    \
                    config.kubernetes.io/origin: |\n      path: ../base/b.yaml\n---\nkind: List\nitems:\n- kind: C\n  \
                    metadata: { name: c }\n- kind: D\n";
        let source = Source::parse("all.yaml", text).unwrap();
        let source =
            source.placed(|kind, name| (kind == "C" && name == "c").then(|| "c.yaml".to_owned()));
        let places: Vec<&str> = source.objects.iter().map(|o| o.place.as_str()).collect();
        assert_eq!(
            places,
            ["all.yaml:1", "../base/b.yaml", "c.yaml", "all.yaml:10"]
        );
    }
}
