//! A real nginx, as a pod of the cluster.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    super::kube::{Kube, Place, until},
    config::{self, Cluster, FOLDER, Files, Name},
};

/// Until it listens: its image is pulled, and the node may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// For one attempt to reach it.
const ATTEMPT: Duration = Duration::from_secs(2);
const PORT: u16 = 443;

/// An nginx to be.
pub(crate) struct Nginx<'a> {
    pub(crate) kube: &'a Kube,
    /// Where it runs: the ingress controller's Namespace.
    pub(crate) namespace: &'a str,
    /// Whose Ingresses it serves: those of Namespaces whose name begins so. Plays that are on at a time have one each,
    /// and the same hosts.
    pub(crate) prefix: &'a str,
    /// By digest.
    pub(crate) image: &'a str,
}

impl Nginx<'_> {
    /// Has an nginx listen that serves the Ingresses as they are now, and gives its address. One that is there and
    /// serves just these is taken.
    ///
    /// # Errors
    /// When the cluster does not answer, or nginx does not come up.
    pub(crate) async fn listen(&self) -> anyhow::Result<SocketAddr> {
        let (text, files) = config::nginx(&self.cluster().await?)?;
        let name = config::name(&text, &files)?;
        if self.pod(&name).await?.is_none() {
            let secret = self.secret(&name, &text, files);
            if self.get("Secret", &name).await?.is_none() {
                self.kube.create(&secret).await?;
            }
            self.kube.create(&self.manifest(&name)).await?;
        }
        let listens = until(Instant::now() + PATIENCE, async || {
            self.reached(&name).await
        });
        listens.await.context("wait for the front door's nginx")
    }

    async fn cluster(&self) -> anyhow::Result<Cluster> {
        let all = Place {
            api: "networking.k8s.io/v1",
            kind: "Ingress",
            namespace: None,
        };
        let mut ingresses = self.kube.list(all).await?;
        ingresses.retain(|ingress| {
            let namespace = ingress["metadata"]["namespace"].as_str();
            namespace.is_some_and(|namespace| namespace.starts_with(self.prefix))
        });
        let mut cluster = Cluster {
            ingresses: config::served(ingresses),
            ..Cluster::default()
        };
        for ingress in &cluster.ingresses {
            let (services, secrets) = config::mentioned(ingress);
            for name in services {
                if let Some(service) = self.object("Service", &name).await? {
                    cluster.services.insert(name, service);
                }
            }
            for name in secrets {
                if let Some(mut secret) = self.object("Secret", &name).await? {
                    cluster.secrets.insert(name, secret["data"].take());
                }
            }
        }
        Ok(cluster)
    }

    async fn object(&self, kind: &str, (namespace, name): &Name) -> anyhow::Result<Option<Value>> {
        let place = Place {
            api: "v1",
            kind,
            namespace: Some(namespace),
        };
        self.kube.get(place, name).await
    }

    async fn get(&self, kind: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let name = (self.namespace.to_owned(), name.to_owned());
        self.object(kind, &name).await
    }

    async fn pod(&self, name: &str) -> anyhow::Result<Option<Value>> {
        self.get("Pod", name).await
    }

    fn secret(&self, name: &str, text: &str, mut files: Files) -> Value {
        files.insert("nginx.conf".to_owned(), STANDARD.encode(text));
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": name, "namespace": self.namespace },
            "data": files,
        })
    }

    fn manifest(&self, name: &str) -> Value {
        let container = json!({
            "name": "nginx",
            "image": self.image,
            "volumeMounts": [
                { "name": "configuration", "mountPath": FOLDER },
                { "name": "scratch", "mountPath": "/tmp" },
            ],
        });
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": self.namespace, "labels": { "app": "front-door" } },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "containers": [container],
                "volumes": [
                    { "name": "configuration", "secret": { "secretName": name } },
                    { "name": "scratch", "emptyDir": {} },
                ],
            },
        })
    }

    /// Its address once something listens there; what is seen else.
    async fn reached(&self, name: &str) -> anyhow::Result<Result<SocketAddr, String>> {
        let pod = self.pod(name).await?.context("its pod was deleted")?;
        let status = &pod["status"];
        if status["containerStatuses"][0]["restartCount"].as_u64() > Some(0) {
            bail!("it does not stay up: {status}");
        }
        let address = status["podIP"]
            .as_str()
            .and_then(|ip| ip.parse::<IpAddr>().ok());
        let Some(address) = address.map(|ip| SocketAddr::new(ip, PORT)) else {
            return Ok(Err(format!("Pod/{name} has no address: {status}")));
        };
        let attempt = tokio::task::spawn_blocking(move || {
            TcpStream::connect_timeout(&address, ATTEMPT).map(drop)
        });
        Ok(match attempt.await.context("try to connect")? {
            Ok(()) => Ok(address),
            Err(error) => Err(format!("{address}: {error}; {status}")),
        })
    }
}
