//! What the API server fills in where a client says nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::kinds::Resource;
use super::quantity::Quantity;
use super::schema;

/// The default StorageClass that the cluster begins with.
pub(super) const STORAGE_CLASS: &str = "standard";

/// The value under `key`, `default` where there is none.
fn or<'a>(value: &'a mut Value, key: &str, default: Value) -> &'a mut Value {
    let place = &mut value[key];
    if place.is_null() {
        *place = default;
    }
    place
}

fn all(value: &mut Value, keys: &[(&str, Value)]) {
    for (key, default) in keys {
        or(value, key, default.clone());
    }
}

fn items<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    let items = value.get_mut(key).and_then(Value::as_array_mut);
    items.into_iter().flatten()
}

/// Fills in the defaults of an object, and writes what it says in the canonical form.
pub(super) fn fill(resource: &Resource, object: &mut Value) {
    without_nothing(object);
    if resource.is_custom() {
        return schema::fill(&schema::of_kind(resource.kind), object);
    }
    let kind = resource.kind;
    match kind {
        "Namespace" => {
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
            or(&mut object["spec"], "finalizers", json!(["kubernetes"]));
        }
        "Secret" => secret(object),
        "Service" => service(&mut object["spec"]),
        "PersistentVolumeClaim" => {
            claim(&mut object["spec"]);
        }
        "StorageClass" => all(
            object,
            &[
                ("reclaimPolicy", json!("Delete")),
                ("volumeBindingMode", json!("Immediate")),
            ],
        ),
        "PersistentVolume" => all(
            &mut object["spec"],
            &[
                ("persistentVolumeReclaimPolicy", json!("Retain")),
                ("volumeMode", json!("Filesystem")),
            ],
        ),
        "ResourceQuota" => canonical(&mut object["spec"], "hard"),
        "LimitRange" => limit_range(&mut object["spec"]),
        "NetworkPolicy" => network_policy(&mut object["spec"]),
        "Pod" => {
            pod_spec(&mut object["spec"]);
            for list in ["initContainers", "containers"] {
                items(&mut object["spec"], list).for_each(requests_from_limits);
            }
            let default = "default".to_owned();
            let account = object["spec"]["serviceAccountName"].as_str();
            let account = account.map_or(default, str::to_owned);
            all(
                &mut object["spec"],
                &[
                    ("serviceAccountName", json!(account)),
                    ("serviceAccount", json!(account)),
                    ("enableServiceLinks", json!(true)),
                    ("priority", json!(0)),
                    ("preemptionPolicy", json!("PreemptLowerPriority")),
                ],
            );
        }
        _ => workload(kind, &mut object["spec"]),
    }
    if object["spec"].is_null()
        && let Some(object) = object.as_object_mut()
    {
        object.remove("spec");
    }
}

fn workload(kind: &str, spec: &mut Value) {
    let rolling = |most: Value, extra: Value| {
        json!({
            "type": "RollingUpdate",
            "rollingUpdate": { "maxUnavailable": most, "maxSurge": extra },
        })
    };
    match kind {
        "Deployment" => {
            let recreate = spec["strategy"]["type"] == "Recreate";
            if spec["strategy"]["type"].is_null() || spec["strategy"] == json!({}) {
                spec["strategy"]["type"] = json!("RollingUpdate");
            }
            if !recreate {
                let update = or(&mut spec["strategy"], "rollingUpdate", json!({}));
                all(
                    update,
                    &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
                );
            }
            all(
                spec,
                &[
                    ("replicas", json!(1)),
                    ("revisionHistoryLimit", json!(10)),
                    ("progressDeadlineSeconds", json!(600)),
                ],
            );
        }
        "ReplicaSet" => {
            or(spec, "replicas", json!(1));
        }
        "StatefulSet" => stateful_set(spec),
        "DaemonSet" => all(
            spec,
            &[
                ("updateStrategy", rolling(json!(1), json!(0))),
                ("revisionHistoryLimit", json!(10)),
            ],
        ),
        "Job" => job(spec),
        "CronJob" => {
            all(
                spec,
                &[
                    ("concurrencyPolicy", json!("Allow")),
                    ("suspend", json!(false)),
                    ("successfulJobsHistoryLimit", json!(3)),
                    ("failedJobsHistoryLimit", json!(1)),
                ],
            );
            if spec["jobTemplate"]["spec"]["template"]["spec"].is_object() {
                pod_spec(&mut spec["jobTemplate"]["spec"]["template"]["spec"]);
            }
        }
        _ => return,
    }
    if spec["template"]["spec"].is_object() {
        pod_spec(&mut spec["template"]["spec"]);
    }
}

fn stateful_set(spec: &mut Value) {
    all(
        spec,
        &[
            ("replicas", json!(1)),
            ("podManagementPolicy", json!("OrderedReady")),
            ("revisionHistoryLimit", json!(10)),
            (
                "updateStrategy",
                json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } }),
            ),
            (
                "persistentVolumeClaimRetentionPolicy",
                json!({ "whenDeleted": "Retain", "whenScaled": "Retain" }),
            ),
        ],
    );
    for template in items(spec, "volumeClaimTemplates") {
        template["apiVersion"] = json!("v1");
        template["kind"] = json!("PersistentVolumeClaim");
        template["status"] = json!({ "phase": "Pending" });
        claim(&mut template["spec"]);
    }
}

fn job(spec: &mut Value) {
    all(
        spec,
        &[
            ("parallelism", json!(1)),
            ("completions", json!(1)),
            ("backoffLimit", json!(6)),
            ("completionMode", json!("NonIndexed")),
            ("suspend", json!(false)),
            ("manualSelector", json!(false)),
            ("podReplacementPolicy", json!("TerminatingOrFailed")),
        ],
    );
    let template = &mut spec["template"]["spec"];
    if template.is_object() && template["restartPolicy"].is_null() {
        // Not a default of Jobs: validation demands that something is said.
        template["restartPolicy"] = json!("");
    }
}

fn claim(spec: &mut Value) {
    or(spec, "volumeMode", json!("Filesystem"));
    if spec["resources"].is_object() {
        canonical(&mut spec["resources"], "requests");
    }
}

fn service(spec: &mut Value) {
    all(
        spec,
        &[
            ("type", json!("ClusterIP")),
            ("sessionAffinity", json!("None")),
            ("internalTrafficPolicy", json!("Cluster")),
            ("ipFamilies", json!(["IPv4"])),
            ("ipFamilyPolicy", json!("SingleStack")),
        ],
    );
    for port in items(spec, "ports") {
        let target = port["port"].clone();
        all(port, &[("protocol", json!("TCP")), ("targetPort", target)]);
    }
}

fn network_policy(spec: &mut Value) {
    let mut types = vec!["Ingress"];
    if spec["egress"].is_array() {
        types.push("Egress");
    }
    or(spec, "policyTypes", json!(types));
    for direction in ["ingress", "egress"] {
        for rule in items(spec, direction) {
            for port in items(rule, "ports") {
                or(port, "protocol", json!("TCP"));
            }
        }
    }
}

fn limit_range(spec: &mut Value) {
    for limit in items(spec, "limits") {
        for key in ["default", "defaultRequest", "max", "min"] {
            canonical(limit, key);
        }
        if limit["type"] != "Container" {
            continue;
        }
        // The default limit is the maximum, the default request the default limit, then the minimum.
        for (from, to) in [
            ("max", "default"),
            ("default", "defaultRequest"),
            ("min", "defaultRequest"),
        ] {
            let known = limit[from].as_object().cloned().unwrap_or_default();
            for (resource, amount) in known {
                or(or(limit, to, json!({})), &resource, amount);
            }
        }
    }
}

fn secret(object: &mut Value) {
    or(object, "type", json!("Opaque"));
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    if let Some(Value::Object(texts)) = fields.remove("stringData") {
        let data = fields.entry("data").or_insert_with(|| json!({}));
        for (key, text) in texts {
            let text = text.as_str().unwrap_or_default();
            data[key] = json!(STANDARD.encode(text));
        }
    }
}

fn pod_spec(spec: &mut Value) {
    all(
        spec,
        &[
            ("restartPolicy", json!("Always")),
            ("terminationGracePeriodSeconds", json!(30)),
            ("dnsPolicy", json!("ClusterFirst")),
            ("securityContext", json!({})),
            ("schedulerName", json!("default-scheduler")),
        ],
    );
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        or(spec, "serviceAccount", account);
    }
    for list in ["initContainers", "containers"] {
        items(spec, list).for_each(container);
    }
    for volume in items(spec, "volumes") {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if volume[source].is_object() {
                or(&mut volume[source], "defaultMode", json!(420));
            }
        }
        if let Some(volume) = volume.as_object_mut() {
            volume.retain(|_, source| !source.is_null());
            if volume.len() == 1 {
                volume.insert("emptyDir".to_owned(), json!({}));
            }
        }
    }
}

fn container(container: &mut Value) {
    let policy = if is_latest(container["image"].as_str().unwrap_or_default()) {
        "Always"
    } else {
        "IfNotPresent"
    };
    all(
        container,
        &[
            ("resources", json!({})),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
            ("imagePullPolicy", json!(policy)),
        ],
    );
    canonical(&mut container["resources"], "limits");
    canonical(&mut container["resources"], "requests");
    for port in items(container, "ports") {
        or(port, "protocol", json!("TCP"));
    }
    for variable in items(container, "env") {
        if variable["value"] == ""
            && let Some(variable) = variable.as_object_mut()
        {
            variable.remove("value");
        }
        if variable.pointer("/valueFrom/fieldRef").is_some() {
            or(
                &mut variable["valueFrom"]["fieldRef"],
                "apiVersion",
                json!("v1"),
            );
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) else {
            continue;
        };
        all(
            probe,
            &[
                ("timeoutSeconds", json!(1)),
                ("periodSeconds", json!(10)),
                ("successThreshold", json!(1)),
                ("failureThreshold", json!(3)),
            ],
        );
        if probe.get("httpGet").is_some() {
            all(
                &mut probe["httpGet"],
                &[("path", json!("/")), ("scheme", json!("HTTP"))],
            );
        }
    }
}

/// Whether an image's reference names no version, so that it may mean another image each time.
fn is_latest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"))
}

/// A container that names a limit and no request requests its limit.
pub(super) fn requests_from_limits(container: &mut Value) {
    let limits = container["resources"]["limits"].as_object().cloned();
    for (resource, amount) in limits.unwrap_or_default() {
        let requests = or(&mut container["resources"], "requests", json!({}));
        or(requests, &resource, amount);
    }
}

fn canonical(value: &mut Value, key: &str) {
    let amounts = value.get_mut(key).and_then(Value::as_object_mut);
    for amount in amounts.into_iter().flat_map(Map::values_mut) {
        if let Some(quantity) = Quantity::read(amount) {
            *amount = json!(quantity.to_string());
        }
    }
}

/// Drops nulls everywhere, and empty labels, annotations and finalizers.
fn without_nothing(object: &mut Value) {
    drop_nulls(object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|_, value| *value != json!({}) && *value != json!([]));
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The status that an object has before its controller has seen it.
pub(super) fn first_status(kind: &str) -> Option<Value> {
    Some(match kind {
        "Namespace" => json!({ "phase": "Active" }),
        "Pod" | "PersistentVolumeClaim" | "PersistentVolume" => json!({ "phase": "Pending" }),
        "Service" | "Ingress" => json!({ "loadBalancer": {} }),
        "StatefulSet" | "ReplicaSet" => json!({ "replicas": 0 }),
        "DaemonSet" => json!({
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        }),
        "Deployment" | "Job" | "CronJob" | "ResourceQuota" => json!({}),
        _ => return None,
    })
}
