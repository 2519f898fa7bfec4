//! Pod Security: what the level `baseline` forbids.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline>

use serde_json::Value;

use super::kinds::Resource;
use super::refusal::Refusal;
use super::store::{Key, Store};

/// The label of a namespace that names the level it enforces.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Refuses a namespace that enforces a level that is not modelled.
pub(super) fn modelled(namespace: &Value) -> Result<(), Refusal> {
    match namespace["metadata"]["labels"][ENFORCE].as_str() {
        None | Some("privileged" | "baseline") => Ok(()),
        Some(level) => Err(Refusal::not_modelled(&format!(
            "the Pod Security level {level}"
        ))),
    }
}

/// Refuses a pod that its namespace's level forbids.
pub(super) fn admit(
    store: &Store,
    resource: &Resource,
    namespace: &str,
    name: &str,
    pod: &Value,
) -> Result<(), Refusal> {
    let found = store.get(&Key::new("Namespace", "", namespace));
    let level = found.and_then(|found| found["metadata"]["labels"][ENFORCE].as_str());
    if level != Some("baseline") {
        return Ok(());
    }
    let violations = violations(&pod["spec"]);
    if violations.is_empty() {
        return Ok(());
    }
    let why = format!(
        "violates PodSecurity \"baseline:latest\": {}",
        violations.join(", ")
    );
    Err(Refusal::forbidden(resource, name, &why))
}

fn violations(spec: &Value) -> Vec<String> {
    let mut violations = Vec::new();
    let host = ["hostNetwork", "hostPID", "hostIPC"].into_iter();
    let host: Vec<String> = host
        .filter(|key| spec[*key] == true)
        .map(|key| format!("{key}=true"))
        .collect();
    if !host.is_empty() {
        violations.push(format!("host namespaces ({})", host.join(", ")));
    }
    let volumes = items(&spec["volumes"]).filter(|volume| volume.get("hostPath").is_some());
    let volumes: Vec<String> = volumes.map(|volume| volume["name"].to_string()).collect();
    if !volumes.is_empty() {
        let plural = if volumes.len() == 1 { "" } else { "s" };
        violations.push(format!(
            "hostPath volumes (volume{plural} {})",
            volumes.join(", ")
        ));
    }
    let containers = || items(&spec["initContainers"]).chain(items(&spec["containers"]));
    for container in containers() {
        let name = &container["name"];
        if items(&container["ports"]).any(|port| port["hostPort"].as_u64().unwrap_or(0) != 0) {
            violations.push(format!("hostPort (container {name} uses a hostPort)"));
        }
        if container["securityContext"]["privileged"] == true {
            violations.push(format!(
                "privileged (container {name} must not set securityContext.privileged=true)"
            ));
        }
        if items(&container["securityContext"]["capabilities"]["add"]).any(|added| !is_usual(added))
        {
            violations.push(format!(
                "non-default capabilities (container {name} must not include them in \
                 securityContext.capabilities.add)"
            ));
        }
    }
    violations
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Capabilities that a container has anyway.
fn is_usual(capability: &Value) -> bool {
    const USUAL: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    capability
        .as_str()
        .is_some_and(|name| USUAL.contains(&name))
}
