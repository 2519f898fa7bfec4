//! An nginx configuration of what Ingresses say: each host that has TLS is a server, each path a location that leads to
//! its Service's address within the cluster. Annotations are not obeyed.
//! <https://kubernetes.io/docs/concepts/services-networking/ingress/>

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// Where the configuration, certificates and keys are in the container.
pub(super) const FOLDER: &str = "/etc/front-door";
/// The one class of Ingress that is served, beside those of no class.
const CLASS: &str = "nginx";

/// An object of a namespace.
pub(super) type Name = (String, String);

/// What of the cluster counts.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) ingresses: Vec<Value>,
    /// Those of which an Ingress speaks.
    pub(super) services: BTreeMap<Name, Value>,
    /// Data of TLS Secrets, in base64.
    pub(super) secrets: BTreeMap<Name, Value>,
}

/// The Ingresses that a controller of our class serves.
pub(super) fn served(ingresses: Vec<Value>) -> Vec<Value> {
    let ours = |ingress: &Value| {
        let class = &ingress["spec"]["ingressClassName"];
        class.is_null() || class == CLASS
    };
    ingresses.into_iter().filter(ours).collect()
}

/// The Services and Secrets of which an Ingress speaks.
pub(super) fn mentioned(ingress: &Value) -> (Vec<Name>, Vec<Name>) {
    let named = |name: &Value| Some((namespace(ingress).to_owned(), name.as_str()?.to_owned()));
    let ways = each(&ingress["spec"]["rules"]).flat_map(|rule| each(&rule["http"]["paths"]));
    let services = ways.filter_map(|way| named(&way["backend"]["service"]["name"]));
    let secrets = each(&ingress["spec"]["tls"]).filter_map(|tls| named(&tls["secretName"]));
    (services.collect(), secrets.collect())
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn namespace(ingress: &Value) -> &str {
    ingress["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default()
}

/// A host: its certificate's Secret, and where its paths lead to.
#[derive(Default)]
struct Server {
    secret: Option<Name>,
    /// nginx's locations with the address behind.
    locations: BTreeMap<String, String>,
}

/// The files of a folder, by name, in base64.
pub(super) type Files = BTreeMap<String, String>;

/// The configuration, and the certificates and keys that it names.
///
/// # Errors
/// When an Ingress says what nginx could read as something else.
pub(super) fn nginx(cluster: &Cluster) -> anyhow::Result<(String, Files)> {
    let mut text = HEAD.to_owned();
    let mut files = Files::new();
    for (host, server) in servers(cluster)? {
        // Without a certificate there is nothing to show: such a host has no handshake.
        let data = server.secret.and_then(|name| cluster.secrets.get(&name));
        let pair = |data: &Value| Some((file(data, "tls.crt")?, file(data, "tls.key")?));
        let Some((certificate, key)) = data.and_then(pair) else {
            continue;
        };
        text += &format!(
            "  server {{\n    listen 443 ssl;\n    server_name {host};\n    ssl_certificate {FOLDER}/{host}.crt;\n    \
             ssl_certificate_key {FOLDER}/{host}.key;\n"
        );
        for (location, address) in &server.locations {
            text += &format!("    location {location} {{ proxy_pass http://{address}; }}\n");
        }
        if !server.locations.contains_key("\"/\"") {
            text += "    location / { return 404; }\n";
        }
        text += "  }\n";
        files.insert(format!("{host}.crt"), certificate);
        files.insert(format!("{host}.key"), key);
    }
    Ok((text + "}\n", files))
}

/// Before the servers: who names a host that has none gets no handshake.
const HEAD: &str = "\
user root;
worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server_names_hash_bucket_size 512;
  proxy_http_version 1.1;
  proxy_set_header Host $host;
  server {
    listen 443 ssl default_server;
    ssl_reject_handshake on;
  }
";

fn servers(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Server>> {
    let mut servers = BTreeMap::<String, Server>::new();
    for ingress in &cluster.ingresses {
        for rule in each(&ingress["spec"]["rules"]) {
            let host = rule["host"].as_str().unwrap_or_default();
            plain(host)?;
            let server = servers.entry(host.to_owned()).or_default();
            let mut all = each(&ingress["spec"]["tls"]);
            let tls = all.find(|tls| each(&tls["hosts"]).any(|name| name == host));
            let secret = tls.and_then(|tls| tls["secretName"].as_str());
            let secret = secret.map(|name| (namespace(ingress).to_owned(), name.to_owned()));
            server.secret = server.secret.take().or(secret);
            for way in each(&rule["http"]["paths"]) {
                let Some(address) = address(cluster, ingress, way) else {
                    continue;
                };
                for location in locations(way)? {
                    server.locations.entry(location).or_insert(address.clone());
                }
            }
        }
    }
    Ok(servers)
}

/// Element by element: `/ap` is no prefix of `/api`.
fn locations(way: &Value) -> anyhow::Result<Vec<String>> {
    let path = way["path"].as_str().unwrap_or("/");
    plain(path)?;
    let below = path.trim_end_matches('/');
    Ok(match (way["pathType"] == "Exact", below) {
        (true, _) => vec![format!("= \"{path}\"")],
        (false, "") => vec!["\"/\"".to_owned()],
        (false, below) => vec![format!("= \"{below}\""), format!("\"{below}/\"")],
    })
}

/// The address of the Service's port behind a path; none where there is none.
fn address(cluster: &Cluster, ingress: &Value, way: &Value) -> Option<String> {
    let backend = &way["backend"]["service"];
    let name = (
        namespace(ingress).to_owned(),
        backend["name"].as_str()?.to_owned(),
    );
    let spec = &cluster.services.get(&name)?["spec"];
    let wanted = &backend["port"];
    let mut ports = each(&spec["ports"]);
    let port = ports.find(|port| match wanted["name"].as_str() {
        Some(name) => port["name"] == name,
        None => port["port"] == wanted["number"],
    })?;
    Some(format!("{}:{}", spec["clusterIP"].as_str()?, port["port"]))
}

fn file(data: &Value, key: &str) -> Option<String> {
    data[key].as_str().map(str::to_owned)
}

fn plain(text: &str) -> anyhow::Result<()> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-._~/*".contains(c);
    ensure!(
        text.chars().all(safe),
        "an Ingress says {text:?}, which the front door does not write into a configuration"
    );
    Ok(())
}

/// The name of a configuration: another one has another.
pub(super) fn name(text: &str, files: &Files) -> anyhow::Result<String> {
    use sha2::{Digest as _, Sha256};
    let all = serde_json::to_vec(&(text, files)).context("write the configuration down")?;
    let hash = Sha256::digest(all);
    let hash: String = hash
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("front-door-{hash}"))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    fn ingress(name: &str, rule: &Value) -> Value {
        json!({
            "metadata": { "namespace": "preview-pr-7", "name": name },
            "spec": {
                "tls": [{ "hosts": ["7.pr.example.com"], "secretName": "tls" }],
                "rules": [rule],
            },
        })
    }

    fn way(path: &str, kind: &str, service: &str, port: &Value) -> Value {
        let backend = json!({ "service": { "name": service, "port": port } });
        json!({ "path": path, "pathType": kind, "backend": backend })
    }

    #[test]
    fn hosts_and_paths_lead_to_services() {
        let named = |name: &str| ("preview-pr-7".to_owned(), name.to_owned());
        let service = |address: &str| json!({ "spec": { "clusterIP": address, "ports": [{ "name": "http", "port": 80 }] } });
        let ways = [
            way("/api", "Prefix", "api", &json!({ "name": "http" })),
            way("/robots.txt", "Exact", "web", &json!({ "number": 80 })),
            way("/gone", "Prefix", "gone", &json!({ "number": 80 })),
        ];
        let first = ingress(
            "api",
            &json!({ "host": "7.pr.example.com", "http": { "paths": ways } }),
        );
        let ways = [way("/", "Prefix", "web", &json!({ "name": "http" }))];
        let second = ingress(
            "web",
            &json!({ "host": "7.pr.example.com", "http": { "paths": ways } }),
        );
        let third = ingress(
            "bare",
            &json!({ "host": "8.pr.example.com", "http": { "paths": ways } }),
        );
        assert_eq!(mentioned(&second), (vec![named("web")], vec![named("tls")]));
        let cluster = Cluster {
            ingresses: vec![first, second, third],
            services: BTreeMap::from([
                (named("api"), service("198.19.0.2")),
                (named("web"), service("198.19.0.3")),
            ]),
            secrets: BTreeMap::from([(
                named("tls"),
                json!({ "tls.crt": "Yw==", "tls.key": "aw==" }),
            )]),
        };
        let (text, files) = nginx(&cluster).unwrap();
        assert_snapshot!(text.strip_prefix(HEAD).unwrap(), @r#"
          server {
            listen 443 ssl;
            server_name 7.pr.example.com;
            ssl_certificate /etc/front-door/7.pr.example.com.crt;
            ssl_certificate_key /etc/front-door/7.pr.example.com.key;
            location "/" { proxy_pass http://198.19.0.3:80; }
            location "/api/" { proxy_pass http://198.19.0.2:80; }
            location = "/api" { proxy_pass http://198.19.0.2:80; }
            location = "/robots.txt" { proxy_pass http://198.19.0.3:80; }
          }
        }
        "#);
        let names: Vec<_> = files.keys().cloned().collect();
        assert_eq!(names, ["7.pr.example.com.crt", "7.pr.example.com.key"]);
        assert_ne!(name(&text, &files).unwrap(), name("", &files).unwrap());
    }

    #[test]
    fn nothing_of_an_ingress_is_nginxs_to_interpret() {
        let rule = json!({ "host": "a; }", "http": { "paths": [] } });
        let cluster = Cluster {
            ingresses: vec![ingress("web", &rule)],
            ..Cluster::default()
        };
        assert_snapshot!(nginx(&cluster).unwrap_err(), @r#"an Ingress says "a; }", which the front door does not write into a configuration"#);
    }
}
