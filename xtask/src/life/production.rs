//! Production as it was before anybody had previews: a namespace with a database and the two servers, put there with
//! `kubectl apply` by somebody who is none of the programs.

use serde_json::{Value, json};

/// The name that production goes by: of the target, and of its GitHub environment.
pub(crate) const TARGET: &str = "production";

/// The password of production's database.
pub(crate) const PASSWORD: &str = "no secret: it ends with the play";

/// What production is made of.
pub(crate) struct Production<'a> {
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// The database server's image.
    pub(crate) postgres: &'a str,
    /// The page's image, by digest.
    pub(crate) web: &'a str,
    /// The API's image, by digest.
    pub(crate) api: &'a str,
    /// The database's password.
    pub(crate) password: &'a str,
}

impl Production<'_> {
    /// What must be there first, and the database.
    pub(crate) fn ground(&self) -> Vec<Value> {
        let claim = json!({
            "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        let server = json!({
            "name": "postgres", "image": self.postgres,
            "env": [
                { "name": "POSTGRES_USER", "value": "shop" }, { "name": "POSTGRES_DB", "value": "shop" },
                secret("POSTGRES_PASSWORD"),
                { "name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata" },
            ],
            "ports": [{ "containerPort": 5432 }],
            "readinessProbe": {
                "exec": { "command": ["pg_isready", "--host=127.0.0.1", "--username=shop"] },
                "periodSeconds": 1, "timeoutSeconds": 5,
            },
            "volumeMounts": [{ "name": "data", "mountPath": "/var/lib/postgresql/data" }],
        });
        vec![
            json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": self.namespace },
            }),
            self.object("v1", "Secret", "database", json!({
                "stringData": { "password": self.password },
            })),
            self.service("database", 5432),
            self.object("apps/v1", "StatefulSet", "database", json!({ "spec": {
                "replicas": 1, "serviceName": "database", "selector": { "matchLabels": { "app": "database" } },
                "template": pod("database", json!({ "containers": [server] })),
                "volumeClaimTemplates": [claim],
            } })),
        ]
    }

    /// Fills the fresh database.
    pub(crate) fn seed(&self) -> Value {
        let migrate = container("migrate", self.api, json!({ "args": ["migrate"] }));
        let seed = container("seed", self.api, json!({ "args": ["seed"] }));
        let pod = pod(
            "seed",
            json!({
                "restartPolicy": "Never", "initContainers": [migrate], "containers": [seed],
            }),
        );
        self.object(
            "batch/v1",
            "Job",
            "seed",
            json!({ "spec": { "backoffLimit": 3, "template": pod } }),
        )
    }

    /// The two servers. The API migrates its database before it starts, so that an image brings its schema along.
    pub(crate) fn servers(&self) -> Vec<Value> {
        let ready = json!({ "ports": [{ "containerPort": 8080 }], "readinessProbe": {
            "httpGet": { "path": "/ready", "port": 8080 }, "periodSeconds": 1, "timeoutSeconds": 5,
        }, "lifecycle": {
            // Whoever is to leave goes on answering until all have heard of it.
            "preStop": { "sleep": { "seconds": 3 } },
        } });
        let api = json!({
            "initContainers": [container("migrate", self.api, json!({ "args": ["migrate"] }))],
            "containers": [container("api", self.api, ready.clone())],
        });
        let web = json!({ "containers": [container("web", self.web, ready)] });
        vec![
            self.service("api", 8080),
            self.deployment("api", api),
            self.service("web", 8080),
            self.deployment("web", web),
        ]
    }

    /// A server of the page that needs no API to be ready.
    pub(crate) fn page(&self, name: &str) -> Value {
        let ready = json!({ "readinessProbe": {
            "tcpSocket": { "port": 8080 }, "periodSeconds": 1, "timeoutSeconds": 5,
        } });
        let page = json!({ "containers": [container(name, self.web, ready)] });
        self.deployment(name, page)
    }

    fn deployment(&self, name: &str, spec: Value) -> Value {
        self.object("apps/v1", "Deployment", name, json!({ "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": name } }, "template": pod(name, spec),
        } }))
    }

    fn service(&self, name: &str, port: u16) -> Value {
        self.object(
            "v1",
            "Service",
            name,
            json!({ "spec": {
            "selector": { "app": name }, "ports": [{ "port": port, "targetPort": port }],
        } }),
        )
    }

    fn object(&self, api: &str, kind: &str, name: &str, rest: Value) -> Value {
        let metadata = json!({ "name": name, "namespace": self.namespace });
        let mut object = json!({ "apiVersion": api, "kind": kind, "metadata": metadata });
        merge(&mut object, rest);
        object
    }
}

fn pod(app: &str, spec: Value) -> Value {
    // Service links would set DATABASE_PORT to a URL.
    let mut whole = json!({ "automountServiceAccountToken": false, "enableServiceLinks": false });
    merge(&mut whole, spec);
    json!({ "metadata": { "labels": { "app": app } }, "spec": whole })
}

fn container(name: &str, image: &str, rest: Value) -> Value {
    let mut container = json!({ "name": name, "image": image, "env": [
        { "name": "ENV", "value": TARGET },
        { "name": "DATABASE_HOST", "value": "database" }, { "name": "DATABASE_NAME", "value": "shop" },
        { "name": "DATABASE_USER", "value": "shop" }, secret("DATABASE_PASSWORD"),
    ] });
    merge(&mut container, rest);
    container
}

fn secret(variable: &str) -> Value {
    let from = json!({ "secretKeyRef": { "name": "database", "key": "password" } });
    json!({ "name": variable, "valueFrom": from })
}

/// Puts the keys of one object into another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
