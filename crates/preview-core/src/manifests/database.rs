//! A PostgreSQL of the preview's own.

use serde_json::{Value, json};

use super::{DATABASE, DATABASE_PORT, PASSWORD_KEY, SECRET, labels, pod, snapshot};
use crate::config::{DIRECTORY, Database, Seed};
use crate::objects::{Kind, Manifest};
use crate::snapshot::StoredSnapshot;

const MOUNT: &str = "/var/lib/postgresql/data";
/// The container that makes a restored copy the preview's own.
const RESTORED: &str = "restored";
/// What it does.
const MAKE_OURS: &str = include_str!("restored.sh");

/// Settings of a server on a restored copy, over those that came with it.
const OVER_THE_GOLDEN_ONES: [&str; 5] = [
    "listen_addresses=*",
    // Its log is what the comment shows where it does not come up.
    "logging_collector=off",
    // The certificate, where there is one, is production's, and may lie where the copy has nothing.
    "ssl=off",
    // Into production's archive it would write files that production's own are told by.
    "archive_mode=off",
    // A subscription would take away what its publisher keeps for production.
    "max_logical_replication_workers=0",
];

/// How PostgreSQL's files come into the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// The server's entrypoint makes them.
    Made,
    /// They are restored with the volume, in this folder of it.
    Restored(String),
}

impl Files {
    /// Those of a database that is made as the configuration says.
    pub(super) fn of(database: &Database) -> Self {
        match &database.seed {
            Some(Seed::Snapshot { directory, .. }) => Self::Restored(directory.clone()),
            _ => Self::Made,
        }
    }

    /// Those of a database that is there: `existing` is its StatefulSet. The configuration may say otherwise meanwhile,
    /// but the volume does not change by that.
    fn of_existing(existing: &Value) -> Self {
        if snapshot::source_of(existing).is_none() {
            return Self::Made;
        }
        let containers = existing["spec"]["template"]["spec"]["containers"].as_array();
        let env = containers
            .into_iter()
            .flatten()
            .flat_map(|container| container["env"].as_array().into_iter().flatten());
        let mut pgdata = env.filter(|variable| variable["name"] == "PGDATA");
        let pgdata = pgdata.next().and_then(|pgdata| pgdata["value"].as_str());
        Self::Restored(match pgdata.and_then(|path| path.strip_prefix(MOUNT)) {
            Some("") => ".".to_owned(),
            Some(path) => path.trim_start_matches('/').to_owned(),
            None => DIRECTORY.to_owned(),
        })
    }

    /// `PGDATA`. Our own are in a subfolder: the volume's root may hold `lost+found`, and PostgreSQL wants an empty
    /// folder.
    fn pgdata(&self) -> String {
        match self {
            Self::Made => format!("{MOUNT}/{DIRECTORY}"),
            Self::Restored(directory) if directory == "." => MOUNT.to_owned(),
            Self::Restored(directory) => format!("{MOUNT}/{directory}"),
        }
    }
}

/// The StatefulSet and its Service; the volume is a copy of the snapshot `source` where there is one.
pub(super) fn manifests(
    database: &Database,
    files: &Files,
    source: Option<&StoredSnapshot>,
) -> [Manifest; 2] {
    let labels = labels(DATABASE, DATABASE);
    let stateful_set = json!({ "spec": {
        "serviceName": DATABASE,
        "replicas": 1,
        "revisionHistoryLimit": 2,
        // With one replica there is no order to keep, and in order, a pod that cannot start would keep the template that
        // mends it from being used.
        // <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback>
        "podManagementPolicy": "Parallel",
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": pod(database, files),
        },
        "volumeClaimTemplates": [volume_claim(database, source)],
    }});
    let service = json!({ "spec": {
        "selector": labels,
        "ports": [{ "name": "postgres", "port": DATABASE_PORT, "targetPort": "postgres" }],
    }});
    [
        Manifest::new(Kind::StatefulSet, DATABASE, &labels, stateful_set),
        Manifest::new(Kind::Service, DATABASE, &labels, service),
    ]
}

/// The StatefulSet and its Service on the volume that is there: `existing` is the StatefulSet as the cluster holds it.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#limitations>
pub(super) fn on_its_volume(database: &Database, existing: &Value) -> [Manifest; 2] {
    let claims = &existing["spec"]["volumeClaimTemplates"];
    let wave = manifests(database, &Files::of_existing(existing), None);
    wave.map(|manifest| match manifest.object().kind {
        Kind::StatefulSet if claims.is_array() => {
            manifest.with("spec", "volumeClaimTemplates", claims.clone())
        }
        _ => manifest,
    })
}

fn pod(database: &Database, files: &Files) -> Value {
    let mut server = container(database, files);
    if *files == Files::Made {
        return pod::spec(server);
    }
    let pgdata = files.pgdata();
    let settings = OVER_THE_GOLDEN_ONES.map(str::to_owned).into_iter();
    // The golden configuration may name another file than the one that we wrote.
    let settings = settings.chain([format!("hba_file={pgdata}/pg_hba.conf")]);
    server["args"] = settings
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect();
    let mut spec = pod::spec(server);
    spec["initContainers"] = json!([restored(database, files)]);
    spec
}

/// What is done to a restored copy before its server starts, with the server's own image, environment and resources:
/// it is the same server, in single-user mode.
fn restored(database: &Database, files: &Files) -> Value {
    let mut env = env(database, files);
    env.push(json!({ "name": "VOLUME", "value": MOUNT }));
    json!({
        "name": RESTORED,
        "image": database.image,
        "command": ["sh", "-c", MAKE_OURS],
        "env": env,
        "resources": pod::resources(&database.resources),
        "volumeMounts": [{ "name": "data", "mountPath": MOUNT }],
    })
}

fn env(database: &Database, files: &Files) -> Vec<Value> {
    let password = json!({ "secretKeyRef": { "name": SECRET, "key": PASSWORD_KEY } });
    vec![
        json!({ "name": "PGDATA", "value": files.pgdata() }),
        json!({ "name": "POSTGRES_DB", "value": database.name }),
        json!({ "name": "POSTGRES_PASSWORD", "valueFrom": password }),
        json!({ "name": "POSTGRES_USER", "value": database.user }),
    ]
}

/// Its entrypoint starts as root, makes the volume PostgreSQL's own and then drops its rights, so it keeps those that
/// the namespace's Pod Security allows.
fn container(database: &Database, files: &Files) -> Value {
    json!({
        "name": DATABASE,
        "image": database.image,
        "ports": [{ "name": "postgres", "containerPort": DATABASE_PORT }],
        "env": env(database, files),
        "readinessProbe": {
            "exec": { "command": is_ready(database) },
            "periodSeconds": 2,
            "timeoutSeconds": 5,
        },
        "resources": pod::resources(&database.resources),
        "volumeMounts": [{ "name": "data", "mountPath": MOUNT }],
    })
}

/// Over TCP: while the entrypoint makes the database it runs a server that listens on a socket alone, and is not the
/// one to wait for.
fn is_ready(database: &Database) -> [&str; 7] {
    [
        "pg_isready",
        "-h",
        "127.0.0.1",
        "-U",
        &database.user,
        "-d",
        &database.name,
    ]
}

fn volume_claim(database: &Database, source: Option<&StoredSnapshot>) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": database.size } },
    });
    if let Some(class) = &database.storage_class {
        spec["storageClassName"] = json!(class);
    }
    if let Some(stored) = source {
        spec["dataSource"] = snapshot::data_source(stored);
    }
    json!({ "metadata": { "name": "data" }, "spec": spec })
}
