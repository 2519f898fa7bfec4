//! `[database]`: how it is written, and what it means.

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::patterns::patterns;
use super::quantity::Memory;
use super::read::{check, resources, value};
use super::{Resources, file};
use crate::names::{Digest, ImageName, is_host};
use crate::paths::PathPatterns;
use crate::snapshot::SnapshotName;

/// The official image.
const IMAGE: &str = "docker.io/library/postgres";
/// Its tag, where nothing is said.
const VERSION: &str = "17";
/// Where our own databases have their files, within their volume.
pub(crate) const DIRECTORY: &str = "pgdata";

/// A PostgreSQL of each preview's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The server's image, by tag or by digest.
    pub image: String,
    /// The database's name.
    pub name: String,
    /// The user that owns it.
    pub user: String,
    /// The size of its volume.
    pub size: Memory,
    /// The StorageClass of its volume, where it is not the cluster's default.
    pub storage_class: Option<String>,
    /// CPU and memory of the server.
    pub resources: Resources,
    /// The migration files: where one that was applied has changed, the database is made afresh.
    pub migrations: PathPatterns,
    /// What a fresh database is filled with, after every component's `migrate` and before any component's `seed`.
    pub seed: Option<Seed>,
}

/// What a fresh database is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seed {
    /// SQL files of the repository, run in the order of their paths, all or none of them.
    Sql(PathPatterns),
    /// A command of an image that is no component's.
    Image {
        /// The image, by tag or by digest.
        image: String,
        /// The command; the image's own where there is none.
        command: Vec<String>,
    },
    /// The volume itself begins as a copy of another one, rows and schema and all.
    Snapshot {
        /// The VolumeSnapshot of that other volume.
        golden: SnapshotName,
        /// The folder of PostgreSQL's files within the volume, such as `pgdata`; `.` for the volume itself.
        directory: String,
    },
}

/// A PostgreSQL of each preview's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Database"))]
pub(super) struct Written {
    /// The server's image: the official `postgres`, or one that is configured by the same variables. With a tag or a
    /// digest, or with `version` as its tag.
    pub(super) image: Option<String>,
    /// The image's tag, `17` unless told.
    pub(super) version: Option<String>,
    /// The database's name.
    #[serde(default = "app")]
    pub(super) name: String,
    /// The user that owns it.
    #[serde(default = "app")]
    pub(super) user: String,
    /// The size of its volume.
    #[serde(default = "size")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(super) size: Memory,
    /// The StorageClass of its volume; the cluster's default unless told.
    pub(super) storage_class: Option<String>,
    /// CPU and memory of the server; 512Mi and 0.5 CPU at the most unless told.
    #[serde(default)]
    pub(super) resources: file::Resources,
    /// The migration files, such as `api/migrations/*.sql`, which are applied in the order of their paths. Where one
    /// that was applied has changed or is gone, the database is made afresh.
    pub(super) migrations: Option<Vec<String>>,
    /// What a fresh database is filled with, after every component's `migrate` and before any component's `seed`.
    pub(super) seed: Option<WrittenSeed>,
}

/// What a fresh database is filled with: `sql`, `image` or `snapshot`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Seed"))]
pub(super) struct WrittenSeed {
    /// SQL files of the repository, such as `db/seed/*.sql`, run in the order of their paths; 1 MiB at the most.
    pub(super) sql: Option<Vec<String>>,
    /// An image that fills it, with tag or digest; it finds the database as components do.
    pub(super) image: Option<String>,
    /// The image's command; its own unless told.
    pub(super) command: Option<Vec<String>>,
    /// A VolumeSnapshot of the volume of another PostgreSQL, that every fresh database begins as a copy of.
    pub(super) snapshot: Option<WrittenSnapshot>,
}

/// A VolumeSnapshot of the volume of another PostgreSQL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Snapshot"))]
pub(super) struct WrittenSnapshot {
    /// Its namespace, which is no preview's.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// The folder of PostgreSQL's files within the volume; `.` for the volume itself.
    #[serde(default = "directory")]
    pub(super) directory: String,
}

fn directory() -> String {
    DIRECTORY.to_owned()
}

fn app() -> String {
    "app".to_owned()
}

fn size() -> Memory {
    Memory::gibibytes(1)
}

pub(super) fn read(source: &Source<'_>, written: Written) -> Result<Database, ConfigError> {
    for (key, name) in [("name", &written.name), ("user", &written.user)] {
        let good = (1..=63).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        check(
            source,
            good,
            &["database", key],
            "no plain name; use a-z, 0-9 and _, at most 63, and a letter first",
        )?;
    }
    let class = written.storage_class.as_deref();
    check(
        source,
        class.is_none_or(is_host),
        &["database", "storage_class"],
        "no name of a StorageClass",
    )?;
    let seed = written.seed.map(|written| seed(source, written));
    Ok(Database {
        image: image(source, written.image, written.version)?,
        name: written.name,
        user: written.user,
        size: written.size,
        storage_class: written.storage_class,
        resources: resources(
            source,
            &["database", "resources"],
            written.resources,
            &Resources::of_a_database(),
        )?,
        migrations: patterns(source, &["database", "migrations"], written.migrations)?,
        seed: seed.transpose()?,
    })
}

/// The server's image with its tag or digest.
fn image(
    source: &Source<'_>,
    image: Option<String>,
    version: Option<String>,
) -> Result<String, ConfigError> {
    let name = image.as_deref().unwrap_or(IMAGE);
    if is_image_reference(name) {
        check(
            source,
            version.is_none(),
            &["database", "version"],
            format!("{name} says already which version it is; leave one of the two out"),
        )?;
        return Ok(name.to_owned());
    }
    check(
        source,
        name.parse::<ImageName>().is_ok(),
        &["database", "image"],
        "no image with its registry; write it like docker.io/library/postgres:17",
    )?;
    let version = version.as_deref().unwrap_or(VERSION);
    check(
        source,
        is_tag(version),
        &["database", "version"],
        "no tag of an image; write it like \"17\" or \"17.2-alpine\"",
    )?;
    Ok(format!("{name}:{version}"))
}

/// `name:tag`, `name@sha256:…` or both.
pub(super) fn is_image_reference(text: &str) -> bool {
    let (name, digest) = text
        .split_once('@')
        .map_or((text, None), |(name, digest)| (name, Some(digest)));
    let after_path = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = name[after_path..]
        .split_once(':')
        .map_or((name, None), |(last, tag)| {
            (&name[..after_path + last.len()], Some(tag))
        });
    name.parse::<ImageName>().is_ok()
        && tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| digest.parse::<Digest>().is_ok())
        && (tag.is_some() || digest.is_some())
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn seed(source: &Source<'_>, written: WrittenSeed) -> Result<Seed, ConfigError> {
    let key = ["database", "seed"];
    let WrittenSeed {
        sql,
        image,
        command,
        snapshot,
    } = written;
    check(
        source,
        command.is_none() || image.is_some(),
        &["database", "seed", "command"],
        "the command of no image; name one as image, or let a component have a seed of its own",
    )?;
    match (sql, image, snapshot) {
        (Some(sql), None, None) => {
            let key = ["database", "seed", "sql"];
            Ok(Seed::Sql(patterns(source, &key, Some(sql))?))
        }
        (None, Some(image), None) => {
            check(
                source,
                is_image_reference(&image),
                &["database", "seed", "image"],
                "no image with registry and tag or digest; write it like ghcr.io/acme/shop-seed:2025-11",
            )?;
            let command = command.unwrap_or_default();
            Ok(Seed::Image { image, command })
        }
        (None, None, Some(written)) => snapshot_of(source, written),
        _ => Err(source.wrong(
            &key,
            "write one of sql, image and snapshot; components may have a seed each besides",
        )),
    }
}

fn snapshot_of(source: &Source<'_>, written: WrittenSnapshot) -> Result<Seed, ConfigError> {
    let key = |key| ["database", "seed", "snapshot", key];
    let WrittenSnapshot {
        namespace,
        name,
        directory,
    } = written;
    let namespace = value(source, &key("namespace"), &namespace)?;
    check(
        source,
        is_host(&name),
        &key("name"),
        "no name of a VolumeSnapshot; use a-z, 0-9, - and dots, and a letter or digit at either end",
    )?;
    check(
        source,
        is_directory(&directory),
        &key("directory"),
        "no folder within a volume; write it like pgdata or data/pgdata, or as . for the volume itself",
    )?;
    let golden = SnapshotName { namespace, name };
    Ok(Seed::Snapshot { golden, directory })
}

/// A path that leads down, or nowhere: it becomes a part of `PGDATA`, and must not leave the volume.
fn is_directory(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    path == "." || path.len() <= 253 && path.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parsed(database: &str) -> Result<Database, ConfigError> {
        let text = format!(
            "host = \"{{pr}}.x.org\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n[database]\n{database}\n"
        );
        Config::parse("preview.toml", &text).map(|config| config.database.unwrap())
    }

    fn refused(database: &str) -> String {
        parsed(database).unwrap_err().to_string()
    }

    #[test]
    fn the_server_is_the_official_one_unless_another_image_or_version_is_named() {
        for (written, image) in [
            ("", "docker.io/library/postgres:17"),
            (
                "version = \"16-alpine\"",
                "docker.io/library/postgres:16-alpine",
            ),
            ("image = \"ghcr.io/acme/pg\"", "ghcr.io/acme/pg:17"),
            (
                "image = \"ghcr.io/acme/pg\"\nversion = \"3\"",
                "ghcr.io/acme/pg:3",
            ),
            ("image = \"ghcr.io/acme/pg:3\"", "ghcr.io/acme/pg:3"),
        ] {
            assert_eq!(parsed(written).unwrap().image, image, "{written}");
        }
        insta::assert_snapshot!(refused("image = \"ghcr.io/acme/pg:3\"\nversion = \"17\""), @"preview.toml:6: database.version: ghcr.io/acme/pg:3 says already which version it is; leave one of the two out");
        insta::assert_snapshot!(refused("version = \"17 \""), @r#"preview.toml:5: database.version: no tag of an image; write it like "17" or "17.2-alpine""#);
    }

    #[test]
    fn size_resources_and_migrations_are_as_they_are_written() {
        let database = parsed(
            "size = \"5Gi\"\nmigrations = [\"api/migrations/*.sql\", \"db/**\"]\n[database.resources.limits]\nmemory = \"1Gi\"",
        );
        let database = database.unwrap();
        let Database {
            size,
            migrations,
            resources,
            ..
        } = &database;
        assert_eq!(
            (size.as_str(), migrations.to_string().as_str()),
            ("5Gi", "api/migrations/*.sql, db/**")
        );
        assert_eq!(resources.limits.memory.as_str(), "1Gi");
        assert_eq!(resources.limits.cpu, Resources::of_a_database().limits.cpu);
        insta::assert_snapshot!(refused("migrations = [\"/db\"]"), @r#"preview.toml:5: database.migrations: "/db" is no pattern of paths: paths are relative to the repository's root; leave the first / out"#);
        insta::assert_snapshot!(refused("resources.requests.memory = \"1Gi\""), @"preview.toml:5: database.resources: requests (cpu 100m, memory 1Gi) exceed limits (cpu 500m, memory 512Mi); raise the limits too");
        insta::assert_snapshot!(refused("resources.limit.memory = \"1Gi\""), @"preview.toml:5: database.resources.limit: unknown key; did you mean `limits`?");
    }

    #[test]
    fn a_fresh_database_is_filled_from_one_place() {
        let seed = |written: &str| parsed(written).map(|database| database.seed.unwrap());
        assert!(
            matches!(seed("seed.sql = [\"db/*.sql\"]"), Ok(Seed::Sql(files)) if files.mean("db/1.sql"))
        );
        let image = "seed.image = \"ghcr.io/acme/seed:1\"";
        assert!(matches!(seed(image), Ok(Seed::Image { command, .. }) if command.is_empty()));
        let told = [
            "seed = {}",
            "seed.sql = [\"a.sql\"]\nseed.image = \"ghcr.io/acme/seed:1\"",
            "seed.sql = []",
            "seed.image = \"ghcr.io/acme/seed\"",
            "seed.command = [\"/seed\"]",
            "seed.sql = [\"a.sql\"]\nseed.snapshot = { namespace = \"golden\", name = \"shop\" }",
        ]
        .map(refused);
        insta::assert_snapshot!(told.join("\n"), @r#"
        preview.toml:5: database.seed: write one of sql, image and snapshot; components may have a seed each besides
        preview.toml:5: database.seed: write one of sql, image and snapshot; components may have a seed each besides
        preview.toml:5: database.seed.sql: no patterns, so no file is meant; write it like ["web/**"], or leave the key out
        preview.toml:5: database.seed.image: no image with registry and tag or digest; write it like ghcr.io/acme/shop-seed:2025-11
        preview.toml:5: database.seed.command: the command of no image; name one as image, or let a component have a seed of its own
        preview.toml:5: database.seed: write one of sql, image and snapshot; components may have a seed each besides
        "#);
    }
    #[test]
    fn a_fresh_database_begins_as_a_snapshot_that_is_named_with_its_home() {
        let snapshot = |more: &str| {
            parsed(&format!(
                "seed.snapshot = {{ namespace = \"golden\", name = \"shop-sanitised\"{more} }}"
            ))
            .map(|database| database.seed.unwrap())
        };
        let Seed::Snapshot { golden, directory } = snapshot("").unwrap() else {
            panic!("it is another seed")
        };
        assert_eq!(
            (golden.to_string().as_str(), directory.as_str()),
            (
                "VolumeSnapshot/shop-sanitised of namespace golden",
                "pgdata"
            )
        );
        for good in [".", "data", "16/main", "a.b/pg_data-1"] {
            let written = format!(", directory = \"{good}\"");
            assert!(snapshot(&written).is_ok(), "{good}");
        }
        for bad in [
            "", "/data", "data/", "a//b", "..", "a/../..", "./a", "$HOME", "a b",
        ] {
            let written = format!(", directory = \"{bad}\"");
            assert!(snapshot(&written).is_err(), "{bad}");
        }
        let told = [
            "seed.snapshot = { name = \"shop\" }",
            "seed.snapshot = { namespace = \"Golden\", name = \"shop\" }",
            "seed.snapshot = { namespace = \"golden\", name = \"Shop\" }",
            "seed.snapshot = { namespace = \"golden\", name = \"shop\", directory = \"../x\" }",
            "seed.snapshot = { namespace = \"golden\", name = \"shop\", folder = \"x\" }",
        ]
        .map(refused);
        insta::assert_snapshot!(told.join("\n"), @r#"
        preview.toml:5: database.seed.snapshot: missing field `namespace`
        preview.toml:5: database.seed.snapshot.namespace: "Golden" is not a namespace name (a DNS label: at most 63 of a-z, 0-9 and -)
        preview.toml:5: database.seed.snapshot.name: no name of a VolumeSnapshot; use a-z, 0-9, - and dots, and a letter or digit at either end
        preview.toml:5: database.seed.snapshot.directory: no folder within a volume; write it like pgdata or data/pgdata, or as . for the volume itself
        preview.toml:5: database.seed.snapshot.folder: unknown key; there are: namespace, name, directory
        "#);
    }
}
