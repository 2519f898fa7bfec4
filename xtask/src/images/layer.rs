//! The files of an image, and the archive that carries them: the same files always give the same bytes.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tar::{Builder, EntryType, Header};

/// An image's files, by their path without a leading slash. All belong to root and are as old as 1970.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    Directory { mode: u32 },
    File { mode: u32, content: Vec<u8> },
    Link { target: String },
}

impl Layer {
    /// Adds a file, and the folders above it.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> &mut Self {
        let content = content.into();
        self.entry(path, Entry::File { mode, content })
    }

    /// Adds a symbolic link, and the folders above it.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        let target = target.to_owned();
        self.entry(path, Entry::Link { target })
    }

    /// Adds a folder, and those above it.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> &mut Self {
        self.entry(path, Entry::Directory { mode })
    }

    fn entry(&mut self, path: &str, entry: Entry) -> &mut Self {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            let above = Entry::Directory { mode: 0o755 };
            self.entries.entry(path[..end].to_owned()).or_insert(above);
        }
        self.entries.insert(path.to_owned(), entry);
        self
    }

    /// The uncompressed archive. Sorted by path, which puts a folder before what is in it.
    ///
    /// # Errors
    /// When a path does not fit into an archive.
    pub(crate) fn archive(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            append(&mut archive, path, entry).with_context(|| format!("put {path} in a layer"))?;
        }
        archive.into_inner().context("end a layer's archive")
    }
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, entry: &Entry) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    match entry {
        Entry::Directory { mode } => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            archive.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
        Entry::File { mode, content } => {
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_slice())
        }
        Entry::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            archive.append_link(&mut header, path, target)
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn listed(archive: &[u8]) -> String {
        let mut archive = tar::Archive::new(archive);
        let lines = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let target = entry.link_name().unwrap();
            let target = target.map_or_else(String::new, |to| format!(" -> {}", to.display()));
            format!(
                "{:o} {}:{} @{} {} {}{target}",
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mtime().unwrap(),
                header.size().unwrap(),
                entry.path().unwrap().display()
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn folders_come_before_their_files_and_nothing_tells_of_the_machine() {
        let mut layer = Layer::default();
        layer
            .link("/bin/sh", "busybox")
            .file("/etc/app/app.conf", 0o644, "a = 1\n")
            .directory("/tmp", 0o1777)
            .file("bin/busybox", 0o755, "code");
        assert_snapshot!(listed(&layer.archive().unwrap()), @r"
        755 0:0 @0 0 bin/
        755 0:0 @0 4 bin/busybox
        777 0:0 @0 0 bin/sh -> busybox
        755 0:0 @0 0 etc/
        755 0:0 @0 0 etc/app/
        644 0:0 @0 6 etc/app/app.conf
        1777 0:0 @0 0 tmp/
        ");
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let (mut one, mut other) = (Layer::default(), Layer::default());
        one.file("a/b", 0o644, "b").directory("a", 0o700);
        other.directory("a", 0o700).file("a/b", 0o644, "b");
        assert_eq!(one.archive().unwrap(), other.archive().unwrap());
    }

    #[test]
    fn paths_longer_than_a_header_holds_are_kept_whole() {
        let path = format!("{}/file", "long".repeat(40));
        let mut layer = Layer::default();
        layer.file(&path, 0o644, "x");
        let archive = layer.archive().unwrap();
        assert!(listed(&archive).ends_with(&path));
    }
}
