//! `cargo xtask reachability`: what the NetworkPolicies of previews let through, by cyclonus, which is not ours.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use preview_core::{
    config::Config,
    manifests::{Preview, Secrets},
    names::{Digest, RepositoryId},
    objects::Kind,
    ownership::Owner,
};
use serde_json::{Value, json};

use crate::counterparts;

/// Who shall reach whom. The core's own small evaluator reads it, too.
const TABLE: &str =
    include_str!("../../crates/preview-core/src/manifests/network/reachability.txt");

/// `preview.toml` for every part of the table.
const BASE: &str =
    "host = \"{pr}.pr.example.com\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n";
const PARTS: [(&str, &str); 3] = [
    ("as it comes", "[database]\n"),
    (
        "configured",
        "[database]\n[network]\ningress_from = [{ namespace = \"traefik\", \
         pod_labels = { \"app.kubernetes.io/name\" = \"traefik\" } }, { cidr = \"10.9.0.0/16\" }]\n\
         deny = [\"203.0.113.0/24\", \"2001:db8::/32\"]\n",
    ),
    ("without a database", ""),
];

/// Builds cyclonus, asks it for every row of the table, and compares.
///
/// # Errors
/// When it cannot be built, or reads our policies differently than we do; with every row that differs.
pub(crate) fn run() -> anyhow::Result<()> {
    let cyclonus = counterparts::cyclonus()?;
    let mut rows = 0;
    let mut different = Vec::new();
    for (part, lines) in parts() {
        let asked = json!({ "policies": policies(part)?, "traffic": traffic(&lines)? });
        let answers = ask(&cyclonus, &asked)?;
        ensure!(
            answers.len() == lines.len(),
            "cyclonus answered {} of {} questions",
            answers.len(),
            lines.len()
        );
        rows += lines.len();
        let answered = lines.iter().zip(&answers);
        let wrong = answered.filter(|(line, answer)| !line.ends_with(answer.as_str()));
        different.extend(wrong.map(|(line, answer)| format!("[{part}] {line}; it says {answer}")));
    }
    match different.is_empty() {
        true => {
            println!("{rows} connections, each as the table has it");
            Ok(())
        }
        false => bail!(
            "cyclonus reads our NetworkPolicies differently:\n{}",
            different.join("\n")
        ),
    }
}

/// The rows of the table, by its parts.
fn parts() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in TABLE.lines() {
        let is_row = !line.is_empty() && !line.starts_with('#') && !line.starts_with("from ");
        match line.strip_prefix('[') {
            Some(part) => parts.push((part.trim_end_matches(']'), Vec::new())),
            None if is_row => parts
                .last_mut()
                .into_iter()
                .for_each(|(_, rows)| rows.push(line)),
            None => {}
        }
    }
    parts
}

/// The policies of two previews, as a cluster would have them.
fn policies(part: &str) -> anyhow::Result<Vec<Value>> {
    let more = PARTS.iter().find(|(name, _)| *name == part);
    let (_, more) = more.with_context(|| format!("no configuration is known for {part:?}"))?;
    let config = Config::parse("preview.toml", &format!("{BASE}{more}"))?;
    let (repository, head) = ("acme/shop".parse()?, "a".repeat(40).parse()?);
    let images = config.components.iter();
    let images: BTreeMap<_, _> = images
        .map(|component| {
            let image = component.image.at(Digest::of(b"an image"));
            (component.name.clone(), image)
        })
        .collect();
    let mut all = Vec::new();
    for subject in ["pr-7", "pr-8"] {
        let owner = Owner {
            repository: RepositoryId(42),
            subject: subject.parse()?,
        };
        let preview = Preview::new(&config, &repository, &owner, &head, &images)?;
        let furniture = preview.furniture(&Secrets::of_database("x".to_owned()));
        let policies = furniture
            .into_iter()
            .filter(|manifest| manifest.object().kind == Kind::NetworkPolicy);
        all.extend(policies.map(|policy| {
            let mut body = policy.into_body();
            body["metadata"]["namespace"] = json!(preview.namespace_name());
            body
        }));
    }
    Ok(all)
}

/// The rows as cyclonus asks for connections.
fn traffic(rows: &[&str]) -> anyhow::Result<Vec<Value>> {
    rows.iter().map(|row| connection(row)).collect()
}

fn connection(row: &str) -> anyhow::Result<Value> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let [from, to, protocol, port, _] = words[..] else {
        bail!("a row has five words: {row}");
    };
    let port: u16 = port.parse().with_context(|| format!("read {row:?}"))?;
    Ok(json!({
        "Source": end(from),
        "Destination": end(to),
        "ResolvedPort": port,
        "ResolvedPortName": "",
        "Protocol": protocol,
    }))
}

/// `namespace/program` is a pod, anything else an address.
fn end(name: &str) -> Value {
    let Some((namespace, program)) = name.split_once('/') else {
        return json!({ "IP": name });
    };
    json!({
        "IP": "10.244.0.7",
        "Internal": {
            "Namespace": namespace,
            "NamespaceLabels": { "kubernetes.io/metadata.name": namespace },
            "PodLabels": {
                "app.kubernetes.io/name": program,
                "app.kubernetes.io/component": program,
                "k8s-app": program,
            },
        },
    })
}

/// One word for each connection.
fn ask(cyclonus: &Path, asked: &Value) -> anyhow::Result<Vec<String>> {
    let mut child = Command::new(cyclonus)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", cyclonus.display()))?;
    let mut input = child.stdin.take().context("cyclonus has no input")?;
    input
        .write_all(asked.to_string().as_bytes())
        .context("ask cyclonus")?;
    drop(input);
    let done = child.wait_with_output().context("wait for cyclonus")?;
    ensure!(
        done.status.success(),
        "cyclonus: {}; its error is above",
        done.status
    );
    let answers = String::from_utf8(done.stdout).context("read cyclonus' answers")?;
    Ok(answers.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_a_question() {
        let parts = parts();
        let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, PARTS.map(|(name, _)| name));
        for (part, rows) in parts {
            assert!(!rows.is_empty(), "{part}");
            assert_eq!(traffic(&rows).unwrap().len(), rows.len());
            assert_eq!(policies(part).unwrap().len(), 10, "five for each preview");
        }
    }
}
