//! What fills a fresh database and is no component's.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{CONFIG_MAP, DATABASE, DATABASE_PORT, PASSWORD_KEY, SECRET, labels, pod};
use crate::config::{Database, Resources};
use crate::objects::{Kind, Manifest};

/// The Secret that holds the SQL files until they have run: rows may be somebody's.
pub const FILES: &str = "database-seed";

/// Where they are mounted.
const MOUNT: &str = "/seed";

/// Bytes that a Secret may hold.
/// <https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size>
const LIMIT: usize = 1 << 20;

/// SQL files that do not fit into a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the files of database.seed.sql have {bytes} bytes, and {LIMIT} fit into a Secret; put them into an image and name \
     it as database.seed.image"
)]
pub struct SeedTooLarge {
    bytes: usize,
}

/// The Secret with the files, which are run in the order of their names.
///
/// # Errors
/// When it cannot hold them.
pub fn files(contents: &[(String, Vec<u8>)]) -> Result<Manifest, SeedTooLarge> {
    let bytes = contents.iter().map(|(_, content)| content.len()).sum();
    if bytes > LIMIT {
        return Err(SeedTooLarge { bytes });
    }
    // A key holds no slash: the order is what counts, and the path is for whoever reads psql's complaint.
    let data: BTreeMap<String, String> = contents
        .iter()
        .enumerate()
        .map(|(nth, (path, content))| (key(nth, path), STANDARD.encode(content)))
        .collect();
    let fields = json!({ "type": "Opaque", "data": data });
    let program = format!("{DATABASE}-seed");
    let labels = labels(&program, DATABASE);
    Ok(Manifest::new(Kind::Secret, FILES, &labels, fields))
}

/// A name that a Secret may have as a key: at most 253 of letters, digits, `-`, `_` and dots.
fn key(nth: usize, path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    let plain = file.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
        _ => '_',
    });
    let plain: String = plain.take(200).collect();
    format!("{nth:06}-{plain}")
}

/// The pod that runs the files: one transaction, so that a seed that fails leaves nothing and can be tried again.
pub(super) fn of_sql(database: &Database) -> Value {
    let script = format!(
        "set --; for file in {MOUNT}/*; do set -- \"$@\" --file=\"$file\"; done; \
         exec psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction \"$@\""
    );
    let password = json!({ "secretKeyRef": { "name": SECRET, "key": PASSWORD_KEY } });
    let mut spec = pod::spec(json!({
        "name": "seed",
        "image": database.image,
        "command": ["sh", "-c", script],
        "env": [
            { "name": "PGDATABASE", "value": database.name },
            { "name": "PGHOST", "value": DATABASE },
            { "name": "PGPASSWORD", "valueFrom": password },
            { "name": "PGPORT", "value": DATABASE_PORT.to_string() },
            { "name": "PGUSER", "value": database.user },
        ],
        "resources": pod::resources(&Resources::of_a_component()),
        "securityContext": { "allowPrivilegeEscalation": false },
        "volumeMounts": [{ "name": "seed", "mountPath": MOUNT, "readOnly": true }],
    }));
    spec["volumes"] = json!([{ "name": "seed", "secret": { "secretName": FILES } }]);
    spec
}

/// The pod of an image that fills it, which finds the database as components do.
pub(super) fn of_image(image: &str, command: &[String]) -> Value {
    let mut container = json!({
        "name": "seed",
        "image": image,
        "envFrom": [
            { "configMapRef": { "name": CONFIG_MAP } },
            { "secretRef": { "name": SECRET } },
        ],
        "resources": pod::resources(&Resources::of_a_component()),
        "securityContext": { "allowPrivilegeEscalation": false },
    });
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    pod::spec(container)
}
