//! Rules for pods: Pod Security's level `baseline`, said before the cluster says it of pods that nobody looks at, and
//! what of it lets a volume or the scheduler lead out of the preview.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline>

use super::super::field::Field;
use super::{Fault, Rule};
use crate::objects::Kind;

/// Volumes that hold nothing but what is the preview's.
const VOLUMES: [&str; 6] = [
    "emptyDir",
    "configMap",
    "secret",
    "projected",
    "downwardAPI",
    "persistentVolumeClaim",
];

/// What may be projected into a volume.
const PROJECTED: [&str; 3] = ["configMap", "secret", "downwardAPI"];

const CAPABILITIES: [&str; 13] = [
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

const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

const SELINUX_TYPES: [&str; 4] = [
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

/// Where Kubernetes before 1.30 looked for a container's AppArmor profile, and still does.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Where the template of the pods of this kind is, as a JSON pointer, where it has pods.
pub(in super::super) const fn template_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
            Some("/spec/template")
        }
        Kind::CronJob => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

pub(super) fn template(template: &Field<'_>, faults: &mut Vec<Fault>) {
    let annotations = template.get("metadata").get("annotations");
    for annotation in annotations.fields() {
        if annotation.key().starts_with(APPARMOR) && annotation.text() == Some("unconfined") {
            faults.push(Fault::at(&annotation, Rule::Baseline));
        }
    }
    for map in [template.get("metadata"), annotations] {
        if map.is_set() && !map.value.is_object() {
            faults.push(Fault::at(&map, Rule::Shape("a map")));
        }
    }
    pod(&template.get("spec"), faults);
}

fn pod(spec: &Field<'_>, faults: &mut Vec<Fault>) {
    if !spec.value.is_object() {
        return faults.push(Fault::at(spec, Rule::Shape("the spec of a pod")));
    }
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if is_on(&spec.get(key)) {
            faults.push(Fault::at(&spec.get(key), Rule::HostNamespace));
        }
    }
    let node = spec.get("nodeName");
    if node.is_set() {
        faults.push(Fault::at(&node, Rule::NodeName));
    }
    let priority = spec.get("priorityClassName");
    if let Some(class) = priority.text().filter(|class| class.starts_with("system-")) {
        faults.push(Fault::at(&priority, Rule::Priority(class.to_owned())));
    }
    let security = spec.get("securityContext");
    for sysctl in security.get("sysctls").elements() {
        let name = sysctl.get("name");
        if !name.text().is_some_and(|name| SYSCTLS.contains(&name)) {
            faults.push(Fault::at(&name, Rule::Baseline));
        }
    }
    confinement(&security, faults);
    for one in spec.get("volumes").elements() {
        volume(&one, faults);
    }
    for key in ["initContainers", "containers"] {
        for one in spec.get(key).elements() {
            container(&one, faults);
        }
    }
}

/// Whatever is not clearly off counts as on.
fn is_on(field: &Field<'_>) -> bool {
    field.is_set() && field.value.as_bool() != Some(false)
}

fn volume(volume: &Field<'_>, faults: &mut Vec<Fault>) {
    let sources = volume.fields();
    for source in sources.iter().filter(|field| field.key() != "name") {
        match source.key() {
            "hostPath" => faults.push(Fault::at(source, Rule::HostPath)),
            "projected" => projected(source, faults),
            key if VOLUMES.contains(&key) => {}
            key => faults.push(Fault::at(source, Rule::Volume(key.to_owned()))),
        }
    }
}

fn projected(volume: &Field<'_>, faults: &mut Vec<Fault>) {
    let sources = volume.get("sources").elements();
    for source in sources.iter().flat_map(Field::fields) {
        match source.key() {
            "serviceAccountToken" => faults.push(Fault::at(&source, Rule::TokenVolume)),
            key if PROJECTED.contains(&key) => {}
            key => faults.push(Fault::at(&source, Rule::Volume(key.to_owned()))),
        }
    }
}

fn container(container: &Field<'_>, faults: &mut Vec<Fault>) {
    let security = container.get("securityContext");
    if is_on(&security.get("privileged")) {
        faults.push(Fault::at(&security.get("privileged"), Rule::Privileged));
    }
    for capability in security.get("capabilities").get("add").elements() {
        let name = capability.shown();
        if !CAPABILITIES.contains(&name.as_str()) {
            faults.push(Fault::at(&capability, Rule::Capability(name)));
        }
    }
    let proc = security.get("procMount");
    if proc.is_set() && proc.text() != Some("Default") {
        faults.push(Fault::at(&proc, Rule::Baseline));
    }
    confinement(&security, faults);
    for port in container.get("ports").elements() {
        let host = port.get("hostPort");
        if host.is_set() && host.value.as_u64() != Some(0) {
            faults.push(Fault::at(&host, Rule::HostPort));
        }
    }
    // The kubelet would ask that host, from the node.
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|key| container.get(key));
    let hooks = ["postStart", "preStop"].map(|key| container.get("lifecycle").get(key));
    for asked in probes.iter().chain(&hooks) {
        for host in ["httpGet", "tcpSocket"].map(|key| asked.get(key).get("host")) {
            if host.is_set() {
                faults.push(Fault::at(&host, Rule::Baseline));
            }
        }
    }
}

/// What takes a pod's or a container's confinement away: seccomp, AppArmor, SELinux, Windows' host processes.
fn confinement(security: &Field<'_>, faults: &mut Vec<Fault>) {
    for key in ["seccompProfile", "appArmorProfile"] {
        let kind = security.get(key).get("type");
        if kind.text() == Some("Unconfined") {
            faults.push(Fault::at(&kind, Rule::Baseline));
        }
    }
    let selinux = security.get("seLinuxOptions");
    let kind = selinux.get("type");
    if kind.is_set()
        && !kind
            .text()
            .is_some_and(|text| SELINUX_TYPES.contains(&text))
    {
        faults.push(Fault::at(&kind, Rule::Baseline));
    }
    let identity = ["user", "role"].map(|key| selinux.get(key));
    let windows = security.get("windowsOptions").get("hostProcess");
    let windows = Some(windows).filter(is_on);
    for field in identity.into_iter().filter(Field::is_set).chain(windows) {
        faults.push(Fault::at(&field, Rule::Baseline));
    }
}
