//! Who takes which finalizer off: whoever finds a deletion blocked by one has to look at that controller.

/// Finalizers, or their beginnings where they end with `/`, with who takes them off and when.
const KNOWN: [(&str, &str); 12] = [
    (
        "kubernetes.io/pvc-protection",
        "kube-controller-manager takes off once no pod uses the claim",
    ),
    (
        "kubernetes.io/pv-protection",
        "kube-controller-manager takes off once no claim is bound to the volume",
    ),
    (
        "kubernetes.io/pv-controller",
        "kube-controller-manager takes off once the storage is deleted",
    ),
    (
        "external-provisioner.volume.kubernetes.io/finalizer",
        "the storage driver's external-provisioner takes off once the storage is deleted",
    ),
    (
        "external-attacher/",
        "the storage driver's external-attacher takes off once the volume is detached",
    ),
    (
        "snapshot.storage.kubernetes.io/",
        "the cluster's snapshot controller takes off",
    ),
    (
        "service.kubernetes.io/load-balancer-cleanup",
        "the cloud-controller-manager takes off once the load balancer is gone",
    ),
    (
        "batch.kubernetes.io/job-tracking",
        "kube-controller-manager takes off once it has counted the pod",
    ),
    (
        "foregroundDeletion",
        "kube-controller-manager takes off once what the object owns is gone",
    ),
    (
        "orphan",
        "kube-controller-manager takes off once what the object owns has no owner any more",
    ),
    (
        "resources-finalizer.argocd.argoproj.io",
        "Argo CD takes off",
    ),
    ("finalizers.fluxcd.io", "Flux takes off"),
];

/// The finalizers, each with who takes it off, on one line. There must be one.
#[must_use]
pub fn told(finalizers: &[String]) -> String {
    let each = finalizers.iter().map(|finalizer| {
        let known = KNOWN.iter().find(|(name, _)| match name.strip_suffix('/') {
            Some(_) => finalizer.starts_with(name),
            None => finalizer == name,
        });
        let who = match (known, finalizer.split_once('/')) {
            (Some((_, who)), _) => (*who).to_owned(),
            (None, Some((domain, _))) => format!("the controller of {domain} takes off"),
            (None, None) => "whoever wrote it takes off".to_owned(),
        };
        format!("finalizer {finalizer}, which {who}")
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_finalizer_off_is_told() {
        let finalizers = [
            "kubernetes.io/pv-protection",
            "external-attacher/ebs-csi-aws-com",
            "example.com/backup",
            "odd",
        ];
        let told = told(&finalizers.map(str::to_owned));
        insta::assert_snapshot!(told.replace("; ", "\n"), @r"
        finalizer kubernetes.io/pv-protection, which kube-controller-manager takes off once no claim is bound to the volume
        finalizer external-attacher/ebs-csi-aws-com, which the storage driver's external-attacher takes off once the volume is detached
        finalizer example.com/backup, which the controller of example.com takes off
        finalizer odd, which whoever wrote it takes off
        ");
    }
}
