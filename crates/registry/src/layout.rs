//! OCI layouts on this machine: archives and folders that somebody else wrote, read where they lie.
//!
//! Nothing is unpacked: a blob stays the stretch of a file that it is, and is hashed before anything is believed of it. What
//! may stand in a layout is `preview_core::layout`'s to say.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use preview_core::layout::{
    Contents, Entry, EntryKind, Hashing, Image, Limits, Piece, Place, Refused, Said,
};
use preview_core::names::{CommitSha, Digest};
use tar::EntryType;

/// How formats begin that whole archives are compressed with.
const COMPRESSED: [(&str, &[u8]); 4] = [
    ("gzip", &[0x1f, 0x8b]),
    ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
    ("xz", &[0xfd, b'7', b'z', b'X', b'Z']),
    ("bzip2", b"BZh"),
];

/// A layout whose image is whole.
#[derive(Clone, Debug)]
pub struct Layout {
    blobs: BTreeMap<Digest, Stretch>,
    image: Image,
}

/// A part of a file.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// A file of the layout cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the OCI layout {}: {error}; check that it is there, as a tar archive or a folder", path.display())]
pub struct Unreadable {
    path: PathBuf,
    error: io::Error,
}

/// Why no layout comes of it.
#[derive(Debug)]
enum Stop {
    Refused(Refused),
    Unreadable(Unreadable),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Layout {
    /// Reads the archive or folder at `path`, and checks all of it. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When a file cannot be read. A layout that is not taken is an answer.
    pub fn open(path: &Path, limits: Limits) -> Result<Result<Self, Refused>, Unreadable> {
        match open(path, limits) {
            Ok(layout) => Ok(Ok(layout)),
            Err(Stop::Refused(refused)) => Ok(Err(refused)),
            Err(Stop::Unreadable(unreadable)) => Err(unreadable),
        }
    }

    /// The image's digest: that of its index, where it has one.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        self.image.digest()
    }

    /// The commit B that all its platforms say they were built from.
    #[must_use]
    pub fn revision(&self) -> &CommitSha {
        &self.image.revision
    }

    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    pub(crate) fn stretch(&self, piece: &Piece) -> &Stretch {
        &self.blobs[&piece.digest]
    }

    /// The bytes of a manifest.
    pub(crate) fn bytes(&self, piece: &Piece) -> io::Result<Vec<u8>> {
        self.stretch(piece).bytes()
    }
}

impl Stretch {
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(self.size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Stop {
    move |error| {
        Stop::Unreadable(Unreadable {
            path: path.to_owned(),
            error,
        })
    }
}

fn open(path: &Path, limits: Limits) -> Result<Layout, Stop> {
    let mut reader = Reader {
        contents: Contents::new(limits),
        blobs: BTreeMap::new(),
        index: None,
    };
    let is_folder = fs::metadata(path).map_err(unreadable(path))?.is_dir();
    match is_folder {
        true => reader.folder(path, "")?,
        false => reader.archive(path)?,
    }
    let Reader {
        contents,
        blobs,
        index,
    } = reader;
    let image = contents.image(index.as_deref(), |piece| {
        let stretch = &blobs[&piece.digest];
        stretch.bytes().map_err(unreadable(&stretch.file))
    })?;
    Ok(Layout { blobs, image })
}

struct Reader {
    contents: Contents,
    blobs: BTreeMap<Digest, Stretch>,
    index: Option<Vec<u8>>,
}

impl Reader {
    fn archive(&mut self, path: &Path) -> Result<(), Stop> {
        let cannot = unreadable(path);
        let mut file = File::open(path).map_err(&cannot)?;
        let mut begin = Vec::new();
        (&file).take(8).read_to_end(&mut begin).map_err(&cannot)?;
        let compressed = COMPRESSED
            .iter()
            .find(|(_, magic)| begin.starts_with(magic));
        if let Some((with, _)) = compressed {
            return Err(Refused::Compressed(with).into());
        }
        file.seek(SeekFrom::Start(0)).map_err(&cannot)?;
        let no_archive =
            |error: io::Error| Refused::NotAnArchive(Said::new(error.to_string().as_bytes()));
        let mut archive = tar::Archive::new(BufReader::new(file));
        // Raw: the crate reads what a header says of the next one, whatever size that claims to have.
        for entry in archive.entries().map_err(no_archive)?.raw(true) {
            let mut entry = entry.map_err(no_archive)?;
            let header = entry.header();
            let kind = kind(header.entry_type());
            let size = header.entry_size().map_err(no_archive)?;
            let name = entry.path_bytes().into_owned();
            let place = self.contents.admit(Entry {
                name: &name,
                kind,
                size,
            })?;
            let stretch = Stretch {
                file: path.to_owned(),
                offset: entry.raw_file_position(),
                size,
            };
            self.take(place, &name, stretch, &mut entry)?;
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path, below: &str) -> Result<(), Stop> {
        let cannot = unreadable(folder);
        for file in fs::read_dir(folder).map_err(&cannot)? {
            let file = file.map_err(&cannot)?;
            let path = file.path();
            // Of the entry itself: a link is not followed.
            let metadata = file.metadata().map_err(unreadable(&path))?;
            let kind = match metadata.file_type() {
                kind if kind.is_file() => EntryKind::File,
                kind if kind.is_dir() => EntryKind::Folder,
                kind if kind.is_symlink() => EntryKind::Other("a symbolic link"),
                _ => EntryKind::Other("a device or a socket"),
            };
            let size = match kind {
                EntryKind::File => metadata.len(),
                EntryKind::Folder | EntryKind::Other(_) => 0,
            };
            let name = format!("{below}{}", file.file_name().to_string_lossy());
            let place = self.contents.admit(Entry {
                name: name.as_bytes(),
                kind,
                size,
            })?;
            if place == Place::Folder {
                // Known ones alone are admitted, so it does not go deep.
                self.folder(&path, &format!("{name}/"))?;
                continue;
            }
            let mut content = File::open(&path).map_err(unreadable(&path))?;
            let stretch = Stretch {
                file: path,
                offset: 0,
                size,
            };
            self.take(place, name.as_bytes(), stretch, &mut content)?;
        }
        Ok(())
    }

    /// Reads an entry to its end, and keeps what it is for.
    fn take(
        &mut self,
        place: Place,
        name: &[u8],
        stretch: Stretch,
        content: &mut impl Read,
    ) -> Result<(), Stop> {
        let size = stretch.size;
        let broken = || Refused::Broken {
            name: Said::new(name),
            size,
        };
        let content = &mut content.take(size);
        match place {
            Place::Folder | Place::Mark | Place::Ignored => {}
            Place::Index => {
                let mut bytes = Vec::new();
                content
                    .read_to_end(&mut bytes)
                    .map_err(unreadable(&stretch.file))?;
                self.index = Some(bytes);
            }
            Place::Blob(claimed) => {
                let mut hashing = Hashing::default();
                let mut buffer = vec![0; 1 << 16];
                let mut read = 0;
                loop {
                    let length = content
                        .read(&mut buffer)
                        .map_err(unreadable(&stretch.file))?;
                    if length == 0 {
                        break;
                    }
                    hashing.update(&buffer[..length]);
                    read += length as u64;
                }
                if read != size {
                    return Err(broken().into());
                }
                self.contents
                    .hashed(claimed.clone(), hashing.digest(), size)?;
                self.blobs.insert(claimed, stretch);
            }
        }
        Ok(())
    }
}

fn kind(of: EntryType) -> EntryKind {
    EntryKind::Other(match of {
        EntryType::Regular => return EntryKind::File,
        EntryType::Directory => return EntryKind::Folder,
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        EntryType::XHeader | EntryType::XGlobalHeader => "an extended header (pax)",
        EntryType::GNULongName | EntryType::GNULongLink => "a long name (GNU)",
        _ => "of a kind of its own",
    })
}
