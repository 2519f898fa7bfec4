//! The checkout of the base branch, as far as a kustomization reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use preview_actions::Failed;
use preview_core::manifests::kustomization::{self, FILE_NAMES, Named};

/// The most that a file of a kustomization may hold, in bytes: Kubernetes takes no object of more than 1.5 MiB.
const MOST: u64 = 4 << 20;
/// More folders than any kustomization has; a link that leads around in a circle has more.
const FOLDERS: usize = 500;

/// The folder that `preview.toml` lies in.
#[derive(Debug)]
pub(super) struct Checkout {
    /// Without links in it.
    root: PathBuf,
}

/// What kustomizations read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The folders, from the checkout's root; the root itself is empty.
    pub(super) folders: BTreeSet<String>,
    /// Which file holds an object of this kind and name.
    files: BTreeMap<(String, String), String>,
}

impl Read {
    pub(super) fn file_of(&self, kind: &str, name: &str) -> Option<String> {
        self.files.get(&(kind.to_owned(), name.to_owned())).cloned()
    }
}

impl Checkout {
    /// The folder of the configuration.
    pub(super) fn of(configuration: &Path) -> Result<Self, Failed> {
        let absolute = std::path::absolute(configuration).and_then(|path| path.canonicalize());
        let folder = absolute.map(|path| path.parent().map(Path::to_owned));
        let folder = folder.map_err(|error| {
            let file = configuration.display();
            Failed::Misused(format!(
                "cannot find the folder of {file}: {error}; check out the repository first"
            ))
        })?;
        Ok(Self {
            root: folder.unwrap_or_default(),
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Everything that the kustomization in `folder` reads.
    ///
    /// # Errors
    /// Everything in it, and in the kustomizations that it reads, that is not in the checkout.
    pub(super) fn kustomizations(&self, folder: &str) -> Result<Read, Vec<String>> {
        let mut walk = Walk {
            checkout: self,
            read: Read::default(),
            refusals: Vec::new(),
        };
        match self.place(&self.root, folder) {
            Some(folder) => walk.folder(&folder),
            None => walk.refusals.push(format!(
                "manifests.kustomize: {folder} is not in the checkout; write the folder of a kustomization, from the \
                 folder of preview.toml"
            )),
        }
        match walk.refusals.is_empty() {
            true => Ok(walk.read),
            false => Err(walk.refusals),
        }
    }

    /// Where `path` in `folder` leads, if that is in the checkout.
    fn place(&self, folder: &Path, path: &str) -> Option<PathBuf> {
        let place = folder.join(path).canonicalize().ok()?;
        place.starts_with(&self.root).then_some(place)
    }

    /// The path as people write it, from the root.
    fn shown(&self, path: &Path) -> String {
        let inner = path.strip_prefix(&self.root).unwrap_or(path);
        inner.display().to_string()
    }
}

struct Walk<'a> {
    checkout: &'a Checkout,
    read: Read,
    refusals: Vec<String>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) {
        let shown = self.checkout.shown(folder);
        if self.read.folders.len() >= FOLDERS || !self.read.folders.insert(shown.clone()) {
            return;
        }
        let mut files = FILE_NAMES.iter().map(|name| folder.join(name));
        let Some(file) = files.find(|file| file.exists()) else {
            let names = FILE_NAMES.join(", ");
            return self.refusals.push(format!(
                "{shown}: no kustomization there; it has none of {names}"
            ));
        };
        let name = self.checkout.shown(&file);
        let Some(text) = self.text(&file, &name) else {
            return;
        };
        match kustomization::paths(&name, &text) {
            Ok(named) => named.iter().for_each(|one| self.named(folder, &name, one)),
            Err(refused) => self
                .refusals
                .extend(refused.iter().map(ToString::to_string)),
        }
    }

    fn named(&mut self, folder: &Path, file: &str, named: &Named) {
        let Named {
            key,
            path,
            is_resource,
        } = named;
        match self.checkout.place(folder, path) {
            None => self.refusals.push(format!(
                "{file}: {key}: {path:?} is not in this repository, and a preview is made of nothing else; put it there"
            )),
            Some(place) if place.is_dir() => self.folder(&place),
            Some(place) if *is_resource => self.resource(&place),
            Some(_) => {}
        }
    }

    /// Remembers which objects the file holds.
    fn resource(&mut self, file: &Path) {
        let shown = self.checkout.shown(file);
        if let Some(text) = self.text(file, &shown) {
            for object in kustomization::objects_in(&text) {
                self.read
                    .files
                    .entry(object)
                    .or_insert_with(|| shown.clone());
            }
        }
    }

    fn text(&mut self, file: &Path, shown: &str) -> Option<String> {
        // A link may lead out of the checkout.
        let inside = file
            .canonicalize()
            .ok()
            .filter(|place| place.starts_with(&self.checkout.root));
        let small = inside.filter(|place| place.metadata().is_ok_and(|about| about.len() <= MOST));
        let text = small.and_then(|place| std::fs::read_to_string(place).ok());
        if text.is_none() {
            let most = MOST >> 20;
            self.refusals.push(format!(
                "{shown}: no text of at most {most} MiB in this repository; a preview is made of nothing else"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn checkout(files: &[(&str, &str)]) -> (TempDir, Checkout) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join("repo").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let configuration = folder.path().join("repo/preview.toml");
        fs::write(&configuration, "").unwrap();
        let checkout = Checkout::of(&configuration).unwrap();
        (folder, checkout)
    }

    #[test]
    fn folders_and_the_files_of_objects_are_found_through_bases() {
        let (_folder, checkout) = checkout(&[
            (
                "deploy/preview/kustomization.yaml",
                "resources: [../base, ../base/more, ingress.yaml]",
            ),
            (
                "deploy/preview/ingress.yaml",
                "kind: Ingress\nmetadata: { name: web }\n",
            ),
            ("deploy/base/kustomization.yml", "resources: [web.yaml]"),
            (
                "deploy/base/web.yaml",
                "kind: Service\nmetadata: { name: web }\n---\nkind: Deployment\nmetadata: { name: web }\n",
            ),
            (
                "deploy/base/more/Kustomization",
                "configMapGenerator: [{ name: a, files: [a.txt] }]",
            ),
            ("deploy/base/more/a.txt", "x"),
        ]);
        let read = checkout.kustomizations("deploy/preview").unwrap();
        let folders: Vec<&str> = read.folders.iter().map(String::as_str).collect();
        assert_eq!(
            folders,
            ["deploy/base", "deploy/base/more", "deploy/preview"]
        );
        let file = |kind| read.file_of(kind, "web").unwrap();
        assert_eq!(file("Ingress"), "deploy/preview/ingress.yaml");
        assert_eq!(file("Deployment"), "deploy/base/web.yaml");
        assert_eq!(read.file_of("Deployment", "api"), None);
    }

    #[test]
    fn what_is_not_in_the_checkout_is_refused_by_name() {
        let (folder, checkout) = checkout(&[
            (
                "preview/kustomization.yaml",
                "resources: [../../outside.yaml, link, missing.yaml, https://example.com/x.yaml, ../round]",
            ),
            (
                "round/kustomization.yaml",
                "resources: [../preview, ../empty]",
            ),
            ("empty/x.txt", ""),
        ]);
        fs::write(folder.path().join("outside.yaml"), "").unwrap();
        std::os::unix::fs::symlink(
            folder.path().join("outside.yaml"),
            checkout.root().join("preview/link"),
        )
        .unwrap();
        let refused = checkout.kustomizations("preview").unwrap_err();
        insta::assert_snapshot!(refused.join("\n"), @r#"preview/kustomization.yaml: resources[3]: "https://example.com/x.yaml" is not in this repository, and a preview is made of nothing else; put a copy of it there"#);
        fs::write(
            checkout.root().join("preview/kustomization.yaml"),
            "resources: [../../outside.yaml, link, missing.yaml, ../round]",
        )
        .unwrap();
        let refused = checkout.kustomizations("preview").unwrap_err();
        insta::assert_snapshot!(refused.join("\n"), @r#"
    preview/kustomization.yaml: resources[0]: "../../outside.yaml" is not in this repository, and a preview is made of nothing else; put it there
    preview/kustomization.yaml: resources[1]: "link" is not in this repository, and a preview is made of nothing else; put it there
    preview/kustomization.yaml: resources[2]: "missing.yaml" is not in this repository, and a preview is made of nothing else; put it there
    empty: no kustomization there; it has none of kustomization.yaml, kustomization.yml, Kustomization
    "#);
        let refused = checkout.kustomizations("nowhere").unwrap_err();
        insta::assert_snapshot!(refused.join("\n"), @"manifests.kustomize: nowhere is not in the checkout; write the folder of a kustomization, from the folder of preview.toml");
    }
}
