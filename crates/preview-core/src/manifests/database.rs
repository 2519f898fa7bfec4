//! A PostgreSQL of the preview's own.

use serde_json::{Value, json};

use super::{DATABASE, DATABASE_PORT, PASSWORD_KEY, SECRET, labels, pod};
use crate::config::Database;
use crate::objects::{Kind, Manifest};

const MOUNT: &str = "/var/lib/postgresql/data";
/// In a subfolder of the mount: the volume's root may hold `lost+found`, and PostgreSQL wants an empty folder.
const PGDATA: &str = "/var/lib/postgresql/data/pgdata";

/// The StatefulSet and its Service.
pub(super) fn manifests(database: &Database) -> [Manifest; 2] {
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
            "spec": pod::spec(container(database)),
        },
        "volumeClaimTemplates": [volume_claim(database)],
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

/// The StatefulSet with the claim of `existing`; other objects as they are.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#limitations>
pub(super) fn on_its_volume(manifest: Manifest, existing: &Value) -> Manifest {
    let claims = &existing["spec"]["volumeClaimTemplates"];
    if manifest.object().kind != Kind::StatefulSet || !claims.is_array() {
        return manifest;
    }
    manifest.with("spec", "volumeClaimTemplates", claims.clone())
}

/// Its entrypoint starts as root, makes the volume PostgreSQL's own and then drops its rights, so it keeps those that
/// the namespace's Pod Security allows.
fn container(database: &Database) -> Value {
    let password = json!({ "secretKeyRef": { "name": SECRET, "key": PASSWORD_KEY } });
    json!({
        "name": DATABASE,
        "image": database.image,
        "ports": [{ "name": "postgres", "containerPort": DATABASE_PORT }],
        "env": [
            { "name": "PGDATA", "value": PGDATA },
            { "name": "POSTGRES_DB", "value": database.name },
            { "name": "POSTGRES_PASSWORD", "valueFrom": password },
            { "name": "POSTGRES_USER", "value": database.user },
        ],
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

fn volume_claim(database: &Database) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": database.size } },
    });
    if let Some(class) = &database.storage_class {
        spec["storageClassName"] = json!(class);
    }
    json!({ "metadata": { "name": "data" }, "spec": spec })
}
