//! One manifest that is refused for each rule, and what is said of it.

use super::super::tests::Parts;
use super::super::{Source, Unfit};

const CONFIG: &str = r#"
host = "{pr}.pr.example.com"
[components.web]
image = "ghcr.io/acme/web"
path = "/"
[database]
"#;

/// What is said of `yaml`, a line for each fault.
fn refusals(yaml: &str) -> String {
    let parts = Parts::of(CONFIG);
    let source = Source::parse("x.yaml", yaml).unwrap();
    let unfit = parts.preview().made_of(&source).err().unwrap_or_default();
    let lines = unfit.iter().map(Unfit::to_string);
    lines.collect::<Vec<_>>().join("\n")
}

/// A Deployment that nothing is wrong with, but for `pod`, more lines of its pods' spec.
fn deployment(pod: &str) -> String {
    let pod = pod.replace('\n', "\n      ");
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  template:\n    spec:\n      {pod}\n"
    )
}

/// A Deployment of one container with these fields beside its name and image.
fn container(fields: &str) -> String {
    deployment(&format!(
        "containers: [{{ name: web, image: ghcr.io/acme/web, {fields} }}]"
    ))
}

fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{ name: web }}\nspec: {spec}\n")
}

fn ingress(annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{ name: web, annotations: {annotations} }}\n\
         spec: {spec}\n"
    )
}

fn route(spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: web }}\nspec: {spec}\n"
    )
}

fn config_map(metadata: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\n")
}

/// What is said of all of these.
fn told(manifests: &[String]) -> String {
    let told = manifests.iter().map(|yaml| {
        let said = refusals(yaml);
        assert!(!said.is_empty(), "nothing is said of {yaml}");
        said
    });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn kinds_that_give_rights_that_are_furniture_or_are_not_of_a_namespace_are_refused_by_name() {
    let object = |version: &str, kind: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{ name: x }}\n")
    };
    insta::assert_snapshot!(told(&[
        object("rbac.authorization.k8s.io/v1", "ClusterRole"),
        object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        object("rbac.authorization.k8s.io/v1", "Role"),
        object("rbac.authorization.k8s.io/v1", "RoleBinding"),
        object("v1", "Namespace"),
        object("v1", "ServiceAccount"),
        object("v1", "ResourceQuota"),
        object("v1", "LimitRange"),
        object("networking.k8s.io/v1", "NetworkPolicy"),
        object("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        object("v1", "PersistentVolume"),
        object("v1", "Pod"),
        object("extensions/v1beta1", "Deployment"),
        "just: text\n".to_owned(),
        "- 1\n".to_owned(),
    ]), @r#"
    x.yaml:1: ClusterRole/x: kind: a preview has no "ClusterRole" from manifests: it gives rights; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: ClusterRoleBinding/x: kind: a preview has no "ClusterRoleBinding" from manifests: it gives rights; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: Role/x: kind: a preview has no "Role" from manifests: it gives rights; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: RoleBinding/x: kind: a preview has no "RoleBinding" from manifests: it gives rights; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: Namespace/x: kind: a preview has no "Namespace" from manifests: preview-deploy furnishes every preview with its own; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: ServiceAccount/x: kind: a preview has no "ServiceAccount" from manifests: preview-deploy furnishes every preview with its own; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: ResourceQuota/x: kind: a preview has no "ResourceQuota" from manifests: preview-deploy furnishes every preview with its own; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: LimitRange/x: kind: a preview has no "LimitRange" from manifests: preview-deploy furnishes every preview with its own; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: NetworkPolicy/x: kind: a preview has no "NetworkPolicy" from manifests: preview-deploy furnishes every preview with its own; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: CustomResourceDefinition/x: kind: a preview has no "CustomResourceDefinition" from manifests: workloads, configuration, Services and routes are all it may have; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: PersistentVolume/x: kind: a preview has no "PersistentVolume" from manifests: workloads, configuration, Services and routes are all it may have; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: Pod/x: kind: a preview has no "Pod" from manifests: workloads, configuration, Services and routes are all it may have; take it out in the overlay (a patch with `$patch: delete`)
    x.yaml:1: Deployment/x: apiVersion: a Deployment is written as apps/v1; write it so
    x.yaml:1: ?/?: kind: this has to be the kind of a Kubernetes object
    x.yaml:1: ?/?: kind: this has to be the kind of a Kubernetes object
    "#);
}

#[test]
fn names_and_metadata_that_cannot_be_or_are_ours_are_refused() {
    insta::assert_snapshot!(told(&[
        config_map("{ name: Web }"),
        config_map("{ generateName: web- }"),
        config_map("{ name: app-config }"),
        config_map("{ name: kube-root-ca.crt }"),
        "apiVersion: v1\nkind: Secret\nmetadata: { name: app-secret }\n".to_owned(),
        "apiVersion: v1\nkind: Service\nmetadata: { name: database }\n".to_owned(),
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: data-database-0 }\n".to_owned(),
        [config_map("{ name: a }"), config_map("{ name: a }")].join("---\n"),
        format!("apiVersion: batch/v1\nkind: Job\nmetadata: {{ name: {} }}\nspec: {{ template: {{ spec: {{}} }} }}\n", "j".repeat(53)),
        config_map("{ name: a, finalizers: [x/y] }"),
        config_map("{ name: a, ownerReferences: [{ name: b }] }"),
        config_map("{ name: a, labels: { preview-environments/subject: pr-8 } }"),
        config_map("{ name: a, annotations: { preview-environments/fence: '1.1' } }"),
        config_map("{ name: a, labels: none }"),
        config_map("{ name: a, namespace: kube-system }"),
        config_map("{ name: a, namespace: shop }"),
    ]), @r#"
    x.yaml:1: ConfigMap/Web: metadata.name: no name that an object can have: lower-case letters, digits, - and dots; give it one
    x.yaml:1: ConfigMap/?: metadata.name: no name that an object can have: lower-case letters, digits, - and dots; give it one
    x.yaml:1: ConfigMap/app-config: metadata.name: ConfigMap/app-config is made by preview-deploy for every preview; leave it out, or call yours something else
    x.yaml:1: ConfigMap/kube-root-ca.crt: metadata.name: ConfigMap/kube-root-ca.crt is made by preview-deploy for every preview; leave it out, or call yours something else
    x.yaml:1: Secret/app-secret: metadata.name: Secret/app-secret is made by preview-deploy for every preview; leave it out, or call yours something else
    x.yaml:1: Service/database: metadata.name: Service/database is made by preview-deploy for every preview; leave it out, or call yours something else
    x.yaml:1: PersistentVolumeClaim/data-database-0: metadata.name: PersistentVolumeClaim/data-database-0 is made by preview-deploy for every preview; leave it out, or call yours something else
    x.yaml:5: ConfigMap/a: metadata.name: it is there twice; leave one of them out
    x.yaml:1: Job/jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj: metadata.name: too long: a Job's name is completed by the hash of its template; use at most 52 characters
    x.yaml:1: ConfigMap/a: metadata.finalizers: an object of a preview does not say this; leave it out
    x.yaml:1: ConfigMap/a: metadata.ownerReferences: an object of a preview does not say this; leave it out
    x.yaml:1: ConfigMap/a: metadata.labels.preview-environments/subject: only preview-deploy says whose a preview is; leave it out
    x.yaml:1: ConfigMap/a: metadata.annotations.preview-environments/fence: only preview-deploy says whose a preview is; leave it out
    x.yaml:1: ConfigMap/a: metadata.labels: this has to be a map of texts
    x.yaml:1: ConfigMap/a: metadata.namespace: "kube-system" is not the preview's namespace; leave it out, or write ${NAMESPACE}
    x.yaml:1: ConfigMap/a: metadata.namespace: "shop" is not the preview's namespace; leave it out, or write ${NAMESPACE}
    "#);
}

#[test]
fn what_leads_a_pod_out_of_its_preview_is_refused() {
    insta::assert_snapshot!(told(&[
        deployment("hostNetwork: true"),
        deployment("hostPID: true"),
        deployment("hostIPC: true"),
        deployment("nodeName: node-1"),
        deployment("priorityClassName: system-node-critical"),
        deployment("volumes: [{ name: root, hostPath: { path: / } }]"),
        deployment("volumes: [{ name: share, nfs: { server: 10.0.0.1, path: / } }]"),
        deployment("volumes: [{ name: disk, csi: { driver: x } }]"),
        deployment("volumes: [{ name: token, projected: { sources: [{ serviceAccountToken: { path: t } }] } }]"),
        container("ports: [{ hostPort: 80, containerPort: 80 }]"),
        container("securityContext: { privileged: true }"),
        container("securityContext: { capabilities: { add: [CHOWN, NET_ADMIN] } }"),
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: c }\nspec: { jobTemplate: { spec: { template: { spec: { \
         hostNetwork: true, initContainers: [{ name: i, securityContext: { privileged: true } }] } } } } }\n".to_owned(),
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: { name: d }\nspec: { template: { spec: { hostPID: 'true' } } }\n".to_owned(),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\n".to_owned(),
    ]), @r#"
    x.yaml:1: Deployment/web: spec.template.spec.hostNetwork: a preview stays out of its node's namespaces; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.hostPID: a preview stays out of its node's namespaces; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.hostIPC: a preview stays out of its node's namespaces; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.nodeName: a preview's pods go where the scheduler puts them; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.priorityClassName: with priority "system-node-critical" it would drive other pods from the node; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.volumes[root].hostPath: a preview sees no folder of its node; use emptyDir or a PersistentVolumeClaim
    x.yaml:1: Deployment/web: spec.template.spec.volumes[share].nfs: "nfs" is no volume of a preview: there are emptyDir, configMap, secret, projected, downwardAPI and persistentVolumeClaim
    x.yaml:1: Deployment/web: spec.template.spec.volumes[disk].csi: "csi" is no volume of a preview: there are emptyDir, configMap, secret, projected, downwardAPI and persistentVolumeClaim
    x.yaml:1: Deployment/web: spec.template.spec.volumes[token].projected.sources[0].serviceAccountToken: nothing in a preview speaks to the API server, so nothing has a token for it; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].ports[0].hostPort: a preview takes no port of its node; use a Service
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].securityContext.privileged: a privileged container may do all that its node may; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].securityContext.capabilities.add[1]: "NET_ADMIN" is beyond the capabilities that Pod Security's level baseline allows; leave it out
    x.yaml:1: CronJob/c: spec.jobTemplate.spec.template.spec.hostNetwork: a preview stays out of its node's namespaces; leave it out
    x.yaml:1: CronJob/c: spec.jobTemplate.spec.template.spec.initContainers[i].securityContext.privileged: a privileged container may do all that its node may; leave it out
    x.yaml:1: DaemonSet/d: spec.template.spec.hostPID: a preview stays out of its node's namespaces; leave it out
    x.yaml:1: Deployment/web: spec.template.spec: this has to be the spec of a pod
    "#);
}

#[test]
fn what_pod_security_would_refuse_later_is_refused_now() {
    insta::assert_snapshot!(told(&[
        deployment("securityContext: { sysctls: [{ name: kernel.msgmax, value: '1' }, { name: net.ipv4.tcp_syncookies, value: '1' }] }"),
        deployment("securityContext: { seccompProfile: { type: Unconfined } }"),
        container("securityContext: { appArmorProfile: { type: Unconfined } }"),
        container("securityContext: { seLinuxOptions: { type: spc_t, user: system_u } }"),
        container("securityContext: { procMount: Unmasked }"),
        container("securityContext: { windowsOptions: { hostProcess: true } }"),
        container("livenessProbe: { httpGet: { host: 169.254.169.254, port: 80 } }"),
        container("lifecycle: { preStop: { tcpSocket: { host: 10.0.0.1, port: 80 } } }"),
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { template: { metadata: { annotations: { \
         container.apparmor.security.beta.kubernetes.io/web: unconfined } }, spec: {} } }\n".to_owned(),
    ]), @"
    x.yaml:1: Deployment/web: spec.template.spec.securityContext.sysctls[kernel.msgmax].name: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.securityContext.seccompProfile.type: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].securityContext.appArmorProfile.type: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].securityContext.seLinuxOptions.type: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].securityContext.seLinuxOptions.user: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].securityContext.procMount: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].securityContext.windowsOptions.hostProcess: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].livenessProbe.httpGet.host: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.spec.containers[web].lifecycle.preStop.tcpSocket.host: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    x.yaml:1: Deployment/web: spec.template.metadata.annotations.container.apparmor.security.beta.kubernetes.io/web: Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out
    ");
}

#[test]
fn services_and_routes_that_lead_past_the_preview_s_hosts_are_refused() {
    let rule = |host: &str| format!("{{ rules: [{{ host: {host} }}] }}");
    let ours = rule("7.pr.example.com");
    insta::assert_snapshot!(told(&[
        service("{ type: NodePort }"),
        service("{ type: LoadBalancer }"),
        service("{ type: ExternalName, externalName: db.prod.svc }"),
        service("{ externalIPs: [10.0.0.1] }"),
        ingress("{}", &rule("www.example.com")),
        ingress("{}", &rule("'*.pr.example.com'")),
        ingress("{}", &rule("8.pr.example.com")),
        ingress("{}", "{ rules: [{ http: {} }] }"),
        ingress("{}", "{ defaultBackend: { service: { name: web } } }"),
        ingress("{}", "{ tls: [{ hosts: [www.example.com] }], rules: [{ host: 7.pr.example.com }] }"),
        ingress("{ nginx.ingress.kubernetes.io/configuration-snippet: 'return 200;' }", &ours),
        ingress("{ nginx.org/server-snippets: 'return 200;' }", &ours),
        ingress("{ nginx.ingress.kubernetes.io/server-alias: 'www.example.com, 7.pr.example.com' }", &ours),
        ingress("{ external-dns.alpha.kubernetes.io/hostname: www.example.com }", &ours),
        ingress("{ nginx.ingress.kubernetes.io/auth-secret: kube-system/users }", &ours),
        route("{ parentRefs: [{ name: front, namespace: gateways }] }"),
        route("{ hostnames: [www.example.com, 7.pr.example.com] }"),
        route("{ hostnames: [7.pr.example.com], rules: [{ backendRefs: [{ name: db, namespace: shop }] }] }"),
    ]), @r#"
    x.yaml:1: Service/web: spec.type: a preview is reached through its routes alone, and "NodePort" is another way; leave the type out
    x.yaml:1: Service/web: spec.type: a preview is reached through its routes alone, and "LoadBalancer" is another way; leave the type out
    x.yaml:1: Service/web: spec.type: a preview is reached through its routes alone, and "ExternalName" is another way; leave the type out
    x.yaml:1: Service/web: spec.externalName: a Service of a preview leads to its own pods and to nothing outside; leave it out
    x.yaml:1: Service/web: spec.externalIPs: a Service of a preview leads to its own pods and to nothing outside; leave it out
    x.yaml:1: Ingress/web: spec.rules[0].host: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    x.yaml:1: Ingress/web: spec.rules[0].host: "*.pr.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    x.yaml:1: Ingress/web: spec.rules[0].host: "8.pr.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    x.yaml:1: Ingress/web: spec.rules[0].host: it would answer for every host that nobody else answers for; name the preview's, as ${HOST_<COMPONENT>}
    x.yaml:1: Ingress/web: spec.defaultBackend: it would answer for every host that nobody else answers for; name the preview's, as ${HOST_<COMPONENT>}
    x.yaml:1: Ingress/web: spec.tls[0].hosts[0]: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    x.yaml:1: Ingress/web: metadata.annotations.nginx.ingress.kubernetes.io/configuration-snippet: a snippet becomes part of the ingress controller's configuration, which serves others too; leave it out
    x.yaml:1: Ingress/web: metadata.annotations.nginx.org/server-snippets: a snippet becomes part of the ingress controller's configuration, which serves others too; leave it out
    x.yaml:1: Ingress/web: metadata.annotations.nginx.ingress.kubernetes.io/server-alias: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    x.yaml:1: Ingress/web: metadata.annotations.external-dns.alpha.kubernetes.io/hostname: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    x.yaml:1: Ingress/web: metadata.annotations.nginx.ingress.kubernetes.io/auth-secret: "kube-system" is not the preview's namespace; leave it out, or write ${NAMESPACE}
    x.yaml:1: HTTPRoute/web: spec.hostnames: it would answer for every host that nobody else answers for; name the preview's, as ${HOST_<COMPONENT>}
    x.yaml:1: HTTPRoute/web: spec.hostnames[0]: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    x.yaml:1: HTTPRoute/web: spec.rules[0].backendRefs[db].namespace: "shop" is not the preview's namespace; leave it out, or write ${NAMESPACE}
    "#);
}

#[test]
fn tokens_and_volumes_that_are_somebody_s_are_refused() {
    insta::assert_snapshot!(told(&[
        "apiVersion: v1\nkind: Secret\nmetadata: { name: t, annotations: { kubernetes.io/service-account.name: default } }\n\
         type: kubernetes.io/service-account-token\n".to_owned(),
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: p }\nspec: { volumeName: of-production }\n".to_owned(),
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: p }\nspec: { dataSourceRef: { namespace: shop } }\n".to_owned(),
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: { name: s }\nspec: { template: { spec: {} }, \
         volumeClaimTemplates: [{ metadata: { name: d }, spec: { selector: { matchLabels: { a: b } } } }] }\n".to_owned(),
    ]), @r#"
    x.yaml:1: Secret/t: metadata.annotations.kubernetes.io/service-account.name: nothing in a preview speaks to the API server, so nothing has a token for it; leave it out
    x.yaml:1: Secret/t: type: nothing in a preview speaks to the API server, so nothing has a token for it; leave it out
    x.yaml:1: PersistentVolumeClaim/p: spec.volumeName: a preview takes no volume that is there already, and may be anybody's; let the StorageClass make one
    x.yaml:1: PersistentVolumeClaim/p: spec.dataSourceRef.namespace: "shop" is not the preview's namespace; leave it out, or write ${NAMESPACE}
    x.yaml:1: StatefulSet/s: spec.volumeClaimTemplates[0].spec.selector: a preview takes no volume that is there already, and may be anybody's; let the StorageClass make one
    "#);
}

#[test]
fn what_a_preview_may_have_is_not_refused() {
    let fine = [
        container(
            "livenessProbe: { httpGet: { path: /, port: 80 } }, securityContext: { privileged: false, \
             capabilities: { drop: [ALL], add: [NET_BIND_SERVICE] }, seLinuxOptions: { type: container_t } }, \
             ports: [{ containerPort: 80, hostPort: 0 }]",
        ),
        service("{ type: ClusterIP, clusterIP: None, ports: [{ port: 80 }], externalIPs: [] }"),
        ingress(
            "{ nginx.ingress.kubernetes.io/auth-secret: users, nginx.ingress.kubernetes.io/server-alias: '${HOST_WEB}', \
             example.com/pull-secret: '${NAMESPACE}/a' }",
            "{ tls: [{ hosts: ['${HOST_WEB}'] }], rules: [{ host: '${PR_NUMBER}.pr.example.com' }] }",
        ),
        route(
            "{ parentRefs: [{ name: front, namespace: gateways }], hostnames: [7.pr.example.com], rules: [{ \
             backendRefs: [{ name: web, namespace: preview-pr-7 }] }] }",
        ),
        config_map("{ name: settings, namespace: '${NAMESPACE}', creationTimestamp: null }"),
        "apiVersion: v1\nkind: Secret\nmetadata: { name: users }\nstringData: { a: b }\n".to_owned(),
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: { name: uploads }\nspec: { resources: {} }\n".to_owned(),
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: { name: queue }\nspec: { template: { spec: { volumes: [{ name: a, \
         emptyDir: {} }, { name: b, projected: { sources: [{ configMap: { name: settings } }] } }], hostNetwork: false } } }\n"
            .to_owned(),
    ];
    assert_eq!(refusals(&fine.join("---\n")), "");
}
