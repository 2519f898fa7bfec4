//! What objects use, as Kubernetes' quota controller counts it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Uncountable;
use super::amount::{Amount, Resource, Usage};
use crate::objects::{Kind, Manifest, ObjectName};

/// What a namespace's ResourceQuota allows, and what its LimitRange gives to containers that say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What all objects together may use.
    pub hard: Usage,
    /// `default` and `defaultRequest` of the LimitRange, by resource.
    defaults: Usage,
}

/// What an object needs at rest, and during its update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The object.
    pub object: ObjectName,
    /// What people call it: a Job's name without the hash that no person wrote.
    pub shown: String,
    /// What one of its pods uses.
    pub pod: Usage,
    /// How many pods it has at rest.
    pub pods: u32,
    /// How many more pods it has during an update.
    pub surge: u32,
    /// What it uses beside its pods: volumes.
    pub beside: Usage,
    /// The names of their claims.
    pub claims: BTreeSet<String>,
}

impl Need {
    /// What it uses when nothing is being replaced.
    #[must_use]
    pub fn at_rest(&self) -> Usage {
        self.pod.times(self.pods).plus(&self.beside)
    }

    /// What its update needs in addition.
    #[must_use]
    pub fn of_surge(&self) -> Usage {
        self.pod.times(self.surge)
    }
}

impl Rules {
    /// The rules that are among `furniture`.
    ///
    /// # Errors
    /// When an amount in them is none.
    pub fn of(furniture: &[Manifest]) -> Result<Self, Uncountable> {
        let mut rules = Self::default();
        for manifest in furniture {
            let spec = &manifest.body()["spec"];
            match manifest.object().kind {
                Kind::ResourceQuota => rules.take_quota(manifest.object(), &spec["hard"])?,
                Kind::LimitRange => rules.take_range(manifest.object(), spec)?,
                _ => {}
            }
        }
        Ok(rules)
    }

    fn take_quota(&mut self, object: &ObjectName, hard: &Value) -> Result<(), Uncountable> {
        for (name, amount) in hard.as_object().into_iter().flatten() {
            if let Some(resource) = Resource::named(name) {
                let amount = read(object, &format!("spec.hard.{name}"), amount)?;
                self.hard = std::mem::take(&mut self.hard).with(resource, amount);
            }
        }
        Ok(())
    }

    fn take_range(&mut self, object: &ObjectName, spec: &Value) -> Result<(), Uncountable> {
        let limits = items(&spec["limits"]).filter(|limit| limit["type"] == "Container");
        for limit in limits {
            for (which, key) in [("limits", "default"), ("requests", "defaultRequest")] {
                for (name, amount) in limit[key].as_object().into_iter().flatten() {
                    if let Some(resource) = Resource::named(&format!("{which}.{name}")) {
                        let amount = read(object, &format!("spec.limits.{key}.{name}"), amount)?;
                        self.defaults = std::mem::take(&mut self.defaults).with(resource, amount);
                    }
                }
            }
        }
        Ok(())
    }

    /// What each of `manifests` needs that has pods or volumes.
    ///
    /// # Errors
    /// As [`Self::need`].
    pub fn needs(&self, manifests: &[Manifest]) -> Result<Vec<Need>, Uncountable> {
        let needs = manifests.iter().map(|manifest| self.need(manifest));
        needs.filter_map(Result::transpose).collect()
    }

    /// What `manifest` needs; none where it has neither pods nor volumes.
    ///
    /// A DaemonSet counts for one node, the least there can be; a CronJob for one run of it at a time.
    ///
    /// # Errors
    /// When an amount in it is none, or a container reserves more than its limit: Kubernetes would refuse its pods.
    pub fn need(&self, manifest: &Manifest) -> Result<Option<Need>, Uncountable> {
        let object = manifest.object();
        let spec = &manifest.body()["spec"];
        let replicas = || count(&spec["replicas"], 1);
        let (template, pods, surge) = match object.kind {
            Kind::Deployment => (&spec["template"], replicas(), surge(spec, replicas())),
            Kind::StatefulSet => (&spec["template"], replicas(), 0),
            Kind::DaemonSet => (&spec["template"], 1, daemon_surge(spec)),
            Kind::Job => (&spec["template"], parallel(spec), 0),
            Kind::CronJob => {
                let job = &spec["jobTemplate"]["spec"];
                let runs = spec["suspend"] != true;
                (&job["template"], if runs { parallel(job) } else { 0 }, 0)
            }
            Kind::PersistentVolumeClaim => return self.of_claim(manifest).map(Some),
            _ => return Ok(None),
        };
        Ok(Some(Need {
            object: object.clone(),
            shown: shown(manifest),
            pod: self.pod(object, &template["spec"])?,
            pods,
            surge,
            beside: claims(object, &spec["volumeClaimTemplates"])?.times(pods),
            claims: claim_names(object, &spec["volumeClaimTemplates"], pods),
        }))
    }

    fn of_claim(&self, manifest: &Manifest) -> Result<Need, Uncountable> {
        let object = manifest.object();
        Ok(Need {
            object: object.clone(),
            shown: object.to_string(),
            pod: Usage::none(),
            pods: 0,
            surge: 0,
            beside: volume(object, &manifest.body()["spec"])?,
            claims: BTreeSet::from([object.name.clone()]),
        })
    }

    /// What a pod of this spec uses: its own amounts where the pod as a whole has some (Kubernetes 1.34 and later), else
    /// the larger of what its containers and sidecars have together and of what its init containers need one after
    /// another, each with the sidecars that were started before it.
    /// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>
    ///
    /// # Errors
    /// As [`Self::need`]; `object` is whose pod it is.
    pub fn pod(&self, object: &ObjectName, spec: &Value) -> Result<Usage, Uncountable> {
        let by_containers = self.containers(object, spec, Self::with_defaults)?;
        // The defaults of a pod's own requests are taken before a LimitRange speaks.
        let said = self.containers(object, spec, |_, own| own)?;
        let mut own = amounts(object, "the pod", &spec["resources"])?;
        let has_limits = [Resource::LimitsCpu, Resource::LimitsMemory]
            .into_iter()
            .any(|resource| own.iter().any(|(named, _)| named == resource));
        if has_limits {
            for (request, _) in BOTH {
                if !names(&own, request) && names(&said, request) {
                    own = own.with(request, said.of(request));
                }
            }
            own = requests_by_limits(own);
        }
        let whole = own.iter().fold(by_containers, |usage, (resource, amount)| {
            usage.with(resource, amount)
        });
        Ok(whole.plus(&ephemeral(object, spec)?))
    }

    fn containers(
        &self,
        object: &ObjectName,
        spec: &Value,
        completed: fn(&Self, Usage) -> Usage,
    ) -> Result<Usage, Uncountable> {
        let of = |container: &Value| -> Result<Usage, Uncountable> {
            let name = container["name"].as_str().unwrap_or_default();
            let place = format!("container {name}");
            let own = amounts(object, &place, &container["resources"])?;
            let all = completed(self, requests_by_limits(own));
            no_request_beyond_its_limit(object, name, &all)?;
            Ok(all)
        };
        let mut together = Usage::none();
        for container in items(&spec["containers"]) {
            together = together.plus(&of(container)?);
        }
        let (mut sidecars, mut largest) = (Usage::none(), Usage::none());
        for container in items(&spec["initContainers"]) {
            let uses = of(container)?;
            let at_its_start = sidecars.plus(&uses);
            if container["restartPolicy"] == "Always" {
                together = together.plus(&uses);
                sidecars = at_its_start.clone();
            }
            largest = largest.or(&at_its_start);
        }
        Ok(together.or(&largest))
    }

    fn with_defaults(&self, own: Usage) -> Usage {
        let missing = self.defaults.iter();
        missing.fold(own, |own, (resource, amount)| match names(&own, resource) {
            true => own,
            false => own.with(resource, amount),
        })
    }
}

/// Claims of one template whose names are written down: what needs more does not fit any quota.
const MOST_CLAIMS: u32 = 1000;

/// A request and the limit above it.
const BOTH: [(Resource, Resource); 2] = [
    (Resource::RequestsCpu, Resource::LimitsCpu),
    (Resource::RequestsMemory, Resource::LimitsMemory),
];

fn names(usage: &Usage, resource: Resource) -> bool {
    usage.iter().any(|(named, _)| named == resource)
}

/// What has a limit and reserves nothing reserves all of it.
/// <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#requests-and-limits>
fn requests_by_limits(own: Usage) -> Usage {
    BOTH.into_iter().fold(own, |own, (request, limit)| {
        match !names(&own, request) && names(&own, limit) {
            true => {
                let amount = own.of(limit);
                own.with(request, amount)
            }
            false => own,
        }
    })
}

fn no_request_beyond_its_limit(
    object: &ObjectName,
    container: &str,
    usage: &Usage,
) -> Result<(), Uncountable> {
    for (request, limit) in BOTH {
        if names(usage, limit) && usage.of(request) > usage.of(limit) {
            return Err(Uncountable::BeyondItsLimit {
                object: object.clone(),
                container: container.to_owned(),
                request: format!("{request} {}", request.show(usage.of(request))),
                limit: format!("{limit} {}", limit.show(usage.of(limit))),
            });
        }
    }
    Ok(())
}

/// CPU and memory of `requests` and `limits`.
fn amounts(object: &ObjectName, place: &str, resources: &Value) -> Result<Usage, Uncountable> {
    let mut usage = Usage::none();
    for which in ["requests", "limits"] {
        for (name, amount) in resources[which].as_object().into_iter().flatten() {
            if let Some(resource) = Resource::named(&format!("{which}.{name}"))
                && matches!(name.as_str(), "cpu" | "memory")
            {
                let place = format!("resources.{which}.{name} of {place}");
                usage = usage.with(resource, read(object, &place, amount)?);
            }
        }
    }
    Ok(usage)
}

/// The claims that a StatefulSet makes for each of its pods.
fn claims(object: &ObjectName, templates: &Value) -> Result<Usage, Uncountable> {
    let each = items(templates).map(|template| volume(object, &template["spec"]));
    each.sum()
}

/// `data-database-0`: template, set and pod.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-storage>
fn claim_names(object: &ObjectName, templates: &Value, pods: u32) -> BTreeSet<String> {
    let templates = items(templates).filter_map(|template| template["metadata"]["name"].as_str());
    let names = templates.flat_map(|template| {
        (0..pods.min(MOST_CLAIMS)).map(move |pod| format!("{template}-{}-{pod}", object.name))
    });
    names.collect()
}

/// The claims that live and die with a pod.
fn ephemeral(object: &ObjectName, spec: &Value) -> Result<Usage, Uncountable> {
    let volumes = items(&spec["volumes"]).map(|volume| &volume["ephemeral"]["volumeClaimTemplate"]);
    let each = volumes.filter(|template| template.is_object());
    each.map(|template| volume(object, &template["spec"])).sum()
}

/// What a claim uses.
pub(super) fn volume(object: &ObjectName, claim: &Value) -> Result<Usage, Uncountable> {
    let one = Usage::none().with(Resource::Volumes, Amount::count(1));
    let storage = &claim["resources"]["requests"]["storage"];
    if storage.is_null() {
        return Ok(one);
    }
    let storage = read(object, "resources.requests.storage", storage)?;
    Ok(one.with(Resource::Storage, storage.whole()))
}

fn read(object: &ObjectName, place: &str, amount: &Value) -> Result<Amount, Uncountable> {
    Amount::read(amount).ok_or_else(|| Uncountable::NoAmount {
        object: object.clone(),
        place: place.to_owned(),
        written: match amount {
            Value::String(text) => text.chars().take(60).collect(),
            other => other.to_string().chars().take(60).collect(),
        },
    })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn count(number: &Value, default: u32) -> u32 {
    let number = number
        .as_u64()
        .map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    number.unwrap_or(default)
}

/// Pods that a Job runs at the same time.
fn parallel(spec: &Value) -> u32 {
    if spec["suspend"] == true {
        return 0;
    }
    let parallelism = count(&spec["parallelism"], 1);
    match spec["completions"].as_u64() {
        Some(_) => parallelism.min(count(&spec["completions"], 1)),
        None => parallelism,
    }
}

/// Pods that a Deployment may have beyond its replicas during an update: a number, or a percentage rounded up; a
/// quarter unless it says otherwise.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#max-surge>
fn surge(spec: &Value, replicas: u32) -> u32 {
    let strategy = &spec["strategy"];
    // What has no pods replaces none.
    if strategy["type"] == "Recreate" || replicas == 0 {
        return 0;
    }
    match &strategy["rollingUpdate"]["maxSurge"] {
        Value::Null => percent("25%", replicas).unwrap_or(0),
        Value::String(text) => percent(text, replicas).unwrap_or(0),
        number => count(number, 0),
    }
}

/// A DaemonSet surges only where it says so, and then with one pod on the one node that is counted.
fn daemon_surge(spec: &Value) -> u32 {
    let surge = &spec["updateStrategy"]["rollingUpdate"]["maxSurge"];
    match surge {
        Value::String(text) => percent(text, 1).unwrap_or(0).min(1),
        number => count(number, 0).min(1),
    }
}

fn percent(text: &str, of: u32) -> Option<u32> {
    let percent: u64 = text.strip_suffix('%')?.parse().ok()?;
    let rounded_up = percent.saturating_mul(u64::from(of)).div_ceil(100);
    u32::try_from(rounded_up).ok()
}

fn shown(manifest: &Manifest) -> String {
    let object = manifest.object();
    let program = &manifest.body()["metadata"]["labels"][crate::manifests::NAME_LABEL];
    match (object.kind, program.as_str()) {
        (Kind::Job, Some(program)) => format!("{}/{program}", object.kind),
        _ => object.to_string(),
    }
}
