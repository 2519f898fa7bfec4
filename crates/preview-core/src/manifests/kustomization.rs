//! What a kustomization reads, looked at before Kustomize does: everything must be in the repository.
//!
//! Kustomize clones and downloads what a kustomization names, and has no switch against it. So the names are read first,
//! by the rules by which Kustomize itself tells a path from an address.
//! <https://github.com/kubernetes-sigs/kustomize/blob/api/v0.21.1/api/internal/git/repospec.go>

use std::fmt;

use serde_json::Value;

use super::field::Field;
use crate::yaml;

/// The names that Kustomize looks for in a folder.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Keys that name nothing outside the file itself.
const INNER: [&str; 20] = [
    "apiVersion",
    "kind",
    "metadata",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "images",
    "imageTags",
    "replicas",
    "vars",
    "sortOptions",
    "generatorOptions",
    "buildMetadata",
    "configMapGenerator",
    "secretGenerator",
    "replacements",
    "openapi",
];

/// Keys that list files, or folders with a kustomization of their own.
const LISTS: [&str; 5] = ["resources", "bases", "components", "crds", "configurations"];
/// Keys that list patches: files, or texts in place.
const PATCHES: [&str; 3] = ["patches", "patchesStrategicMerge", "patchesJson6902"];
/// Keys by which Kustomize would start a program of somebody's.
const PLUGINS: [&str; 3] = ["generators", "transformers", "validators"];
/// Keys by which it would start Helm.
const HELM: [&str; 3] = ["helmCharts", "helmGlobals", "helmChartInflationGenerator"];

/// A path that a kustomization names, relative to its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Where it is named, such as `resources[0]`.
    pub key: String,
    /// The path.
    pub path: String,
    /// Whether its objects become part of what is rendered, and it may be a folder.
    pub is_resource: bool,
}

/// Why a kustomization is not rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLocal {
    file: String,
    key: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    NoMap,
    Elsewhere(String),
    Plugin,
    Helm,
    Unknown,
}

impl fmt::Display for NotLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, key, why } = self;
        match why {
            Why::NoMap => write!(f, "{file}: no kustomization; it has to be one map"),
            Why::Elsewhere(path) => write!(
                f,
                "{file}: {key}: {path:?} is not in this repository, and a preview is made of nothing else; put a copy \
                 of it there"
            ),
            Why::Plugin => write!(
                f,
                "{file}: {key}: a preview is rendered without plugins; use the kustomization's own fields"
            ),
            Why::Helm => write!(
                f,
                "{file}: {key}: a preview is rendered without Helm; render the chart in the workflow, and hand it over \
                 with --manifests"
            ),
            Why::Unknown => write!(
                f,
                "{file}: {key}: not among the fields of a kustomization that are known here, so it could name anything; \
                 render in the workflow, and hand the result over with --manifests"
            ),
        }
    }
}

/// The paths that the kustomization in `text`, which refusals call `file`, names.
///
/// # Errors
/// Everything in it that is not of this repository, or would start a program.
pub fn paths(file: &str, text: &str) -> Result<Vec<Named>, Vec<NotLocal>> {
    let refuse = |key: &str, why| NotLocal {
        file: file.to_owned(),
        key: key.to_owned(),
        why,
    };
    let documents = yaml::documents(file, text).unwrap_or_default();
    let [document] = &documents[..] else {
        return Err(vec![refuse("", Why::NoMap)]);
    };
    let whole = Field::whole(&document.value);
    if !whole.value.is_object() {
        return Err(vec![refuse("", Why::NoMap)]);
    }
    let (mut named, mut refused) = (Vec::new(), Vec::new());
    for field in whole.fields() {
        match field.key() {
            key if HELM.contains(&key) => refused.push(refuse(key, Why::Helm)),
            key if PLUGINS.contains(&key) => refused.push(refuse(key, Why::Plugin)),
            key if LISTS.contains(&key) || PATCHES.contains(&key) || INNER.contains(&key) => {
                named.extend(of_field(&field));
            }
            key => refused.push(refuse(key, Why::Unknown)),
        }
    }
    for Named { key, path, .. } in &named {
        if is_elsewhere(path) {
            refused.push(refuse(key, Why::Elsewhere(path.clone())));
        }
    }
    match refused.is_empty() {
        true => Ok(named),
        false => Err(refused),
    }
}

fn of_field(field: &Field<'_>) -> Vec<Named> {
    match field.key() {
        key if LISTS.contains(&key) => {
            let is_resource = !matches!(key, "crds" | "configurations");
            texts(&field.elements(), is_resource)
        }
        key if PATCHES.contains(&key) => {
            let elements = field.elements();
            let files = elements
                .iter()
                .map(|patch| patch.get("path"))
                .collect::<Vec<_>>();
            // A patch in place has lines; the name of a file has not.
            let mut named = texts(&elements, false);
            named.retain(|named| !named.path.contains('\n'));
            named.extend(texts(&files, false));
            named
        }
        "replacements" => {
            let files = field
                .elements()
                .iter()
                .map(|one| one.get("path"))
                .collect::<Vec<_>>();
            texts(&files, false)
        }
        "openapi" => texts(&[field.get("path")], false),
        "configMapGenerator" | "secretGenerator" => {
            field.elements().iter().flat_map(of_generator).collect()
        }
        _ => Vec::new(),
    }
}

fn of_generator(generator: &Field<'_>) -> Vec<Named> {
    let files = ["files", "envs"].map(|key| generator.get(key).elements());
    let mut named = texts(
        &[&files.concat()[..], &[generator.get("env")]].concat(),
        false,
    );
    for file in &mut named {
        // `key=path` in `files`.
        if let Some((_, path)) = file.path.split_once('=') {
            file.path = path.to_owned();
        }
    }
    named
}

fn texts(fields: &[Field<'_>], is_resource: bool) -> Vec<Named> {
    let texts = fields.iter().filter_map(|field| {
        Some(Named {
            key: field.path.clone(),
            path: field.value.as_str()?.to_owned(),
            is_resource,
        })
    });
    texts.collect()
}

/// Whether Kustomize may take the text for something to fetch: an address with a scheme, a user or a query, GitHub
/// without either, or an absolute path.
fn is_elsewhere(path: &str) -> bool {
    path.contains([':', '@', '?', '\n'])
        || path.starts_with('/')
        || path.to_ascii_lowercase().starts_with("github.com")
}

/// Kind and name of every object in the file `text`: whoever is refused later is told which file it is from.
#[must_use]
pub fn objects_in(text: &str) -> Vec<(String, String)> {
    let documents = yaml::documents("", text).unwrap_or_default();
    let named = documents.iter().filter_map(|document| {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&document.value["metadata"]["name"])?;
        Some((text(&document.value["kind"])?, name))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_is_named_is_found() {
        let text = "kind: Kustomization\nresources: [../../base, ingress.yaml]\ncomponents: [../c]\ncrds: [crd.json]\n\
                    configurations: [c.yaml]\nnamePrefix: x-\npatches:\n- path: p.yaml\n- patch: |\n    a: b\n\
                    patchesStrategicMerge:\n- s.yaml\n- |\n  kind: x\npatchesJson6902: [{ path: j.json }]\n\
                    replacements: [{ path: r.yaml }, { source: {} }]\nopenapi: { path: o.json }\nconfigMapGenerator:\n\
                    - files: [a.txt, b=c.txt]\n  envs: [e.env]\n  env: f.env\n  literals: [URL=http://api:80]\n";
        let named = paths("k", text).unwrap();
        let named: Vec<String> = named
            .iter()
            .map(|n| {
                format!(
                    "{}={}{}",
                    n.key,
                    n.path,
                    if n.is_resource { "*" } else { "" }
                )
            })
            .collect();
        insta::assert_snapshot!(named.join("\n"), @"
    components[0]=../c*
    configMapGenerator[0].files[0]=a.txt
    configMapGenerator[0].files[1]=c.txt
    configMapGenerator[0].envs[0]=e.env
    configMapGenerator[0].env=f.env
    configurations[0]=c.yaml
    crds[0]=crd.json
    openapi.path=o.json
    patches[0].path=p.yaml
    patchesJson6902[0].path=j.json
    patchesStrategicMerge[0]=s.yaml
    replacements[0].path=r.yaml
    resources[0]=../../base*
    resources[1]=ingress.yaml*
    ");
    }

    #[test]
    fn what_is_elsewhere_or_would_start_a_program_is_refused_by_name() {
        let text = "resources:\n- https://example.com/x.yaml\n- github.com/acme/base//deploy?ref=main\n\
                    - git@github.com:acme/base\n- GitHub.com/acme/base\n- /etc/passwd\n- ./github.com/ours\n\
                    bases: ['git::https://example.com/acme/base']\npatches: [{ path: 'ssh://example.com/p' }]\n\
                    secretGenerator: [{ files: ['a=http://169.254.169.254/token'] }]\nhelmCharts: []\n\
                    generators: [g.yaml]\ntransformers: []\nvalidators: []\nfetch: {}\n";
        let refused = paths("k.yaml", text).unwrap_err();
        let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(refused.join("\n"), @r#"
    k.yaml: fetch: not among the fields of a kustomization that are known here, so it could name anything; render in the workflow, and hand the result over with --manifests
    k.yaml: generators: a preview is rendered without plugins; use the kustomization's own fields
    k.yaml: helmCharts: a preview is rendered without Helm; render the chart in the workflow, and hand it over with --manifests
    k.yaml: transformers: a preview is rendered without plugins; use the kustomization's own fields
    k.yaml: validators: a preview is rendered without plugins; use the kustomization's own fields
    k.yaml: bases[0]: "git::https://example.com/acme/base" is not in this repository, and a preview is made of nothing else; put a copy of it there
    k.yaml: patches[0].path: "ssh://example.com/p" is not in this repository, and a preview is made of nothing else; put a copy of it there
    k.yaml: resources[0]: "https://example.com/x.yaml" is not in this repository, and a preview is made of nothing else; put a copy of it there
    k.yaml: resources[1]: "github.com/acme/base//deploy?ref=main" is not in this repository, and a preview is made of nothing else; put a copy of it there
    k.yaml: resources[2]: "git@github.com:acme/base" is not in this repository, and a preview is made of nothing else; put a copy of it there
    k.yaml: resources[3]: "GitHub.com/acme/base" is not in this repository, and a preview is made of nothing else; put a copy of it there
    k.yaml: resources[4]: "/etc/passwd" is not in this repository, and a preview is made of nothing else; put a copy of it there
    k.yaml: secretGenerator[0].files[0]: "http://169.254.169.254/token" is not in this repository, and a preview is made of nothing else; put a copy of it there
    "#);
        for text in ["", "- a\n", "a: 1\n---\nb: 2\n", "a: [\n"] {
            let refused = paths("k.yaml", text).unwrap_err();
            assert_eq!(
                refused[0].to_string(),
                "k.yaml: no kustomization; it has to be one map",
                "{text}"
            );
        }
    }

    #[test]
    fn objects_of_a_file_are_known_by_kind_and_name() {
        let text =
            "kind: A\nmetadata: { name: a }\n---\nkind: B\n---\nkind: C\nmetadata: { name: c }\n";
        let pair = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        assert_eq!(objects_in(text), [pair("A", "a"), pair("C", "c")]);
        assert_eq!(objects_in("{"), []);
    }
}
