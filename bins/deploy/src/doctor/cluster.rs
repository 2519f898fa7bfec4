//! Rights, kinds, classes, the certificate, and who enforces NetworkPolicies.

use jiff::Timestamp;
use preview_actions::Options;
use preview_core::config::{Config, Seed};
use preview_core::doctor::{Finding, default_or_named, network_policies, rights};
use preview_core::names::{PrNumber, Subject};
use preview_core::objects::Kind;
use preview_core::rights::of_deploy;
use preview_core::tls;
use preview_k8s::{Cluster, Error, Settings};

pub(super) async fn findings(config: &Config, options: &Options) -> Vec<Finding> {
    let what = "cluster";
    let show = "kubectl cluster-info";
    let connected = Cluster::connect(Settings {
        kubeconfig: options.kubeconfig.clone(),
        ..Settings::inferred("preview-deploy")
    });
    let cluster = match connected.await {
        Ok(cluster) => cluster,
        Err(error) => return vec![Finding::missing(what, error).fixed_by(show)],
    };
    let account = match cluster.account().await {
        Ok(account) => account,
        Err(error) => return vec![Finding::missing(what, error).fixed_by(show)],
    };
    let answers = format!("{} answers, to {account}", cluster.server());
    let mut all = vec![Finding::good(what, answers)];
    let custom = custom_kinds(config);
    all.extend(
        match cluster
            .may(of_deploy(&custom, config.cleanup.retained_volumes))
            .await
        {
            Ok(asked) => rights(&account, &asked),
            Err(error) => vec![Finding::unknown("rights", error)],
        },
    );
    all.extend(or_unknown("kinds", kinds(&cluster, &custom).await));
    if config.gateway.is_none() {
        let found = ingress_class(&cluster, config).await;
        all.extend(or_unknown("IngressClass", found.map(|found| vec![found])));
    }
    let found = storage_class(&cluster, config).await;
    all.extend(or_unknown("StorageClass", found));
    all.extend(or_unknown(
        "certificate",
        certificate(&cluster, config).await,
    ));
    let found = cluster.daemon_sets().await;
    let found = found.map(|found| vec![network_policies(&found)]);
    all.extend(or_unknown("NetworkPolicies", found));
    all
}

/// What was found, or that it could not be looked at.
fn or_unknown(what: &str, found: Result<Vec<Finding>, Error>) -> Vec<Finding> {
    found.unwrap_or_else(|error| vec![Finding::unknown(what, error)])
}

/// The kinds that previews of this configuration have and Kubernetes itself has not.
fn custom_kinds(config: &Config) -> Vec<Kind> {
    let seed = config
        .database
        .as_ref()
        .and_then(|database| database.seed.as_ref());
    let mut kinds = Vec::new();
    if config.gateway.is_some() {
        kinds.push(Kind::HttpRoute);
    }
    if matches!(seed, Some(Seed::Snapshot { .. })) {
        kinds.extend([Kind::VolumeSnapshot, Kind::VolumeSnapshotContent]);
    }
    kinds
}

async fn kinds(cluster: &Cluster, custom: &[Kind]) -> Result<Vec<Finding>, Error> {
    let own = Kind::ALL.into_iter().filter(|kind| !kind.is_custom());
    let wanted: Vec<Kind> = own.chain(custom.iter().copied()).collect();
    let missing = cluster.missing_kinds(&wanted).await?;
    if missing.is_empty() {
        let found = format!("all {} that previews are made of are served", wanted.len());
        return Ok(vec![Finding::good("kinds", found)]);
    }
    let findings = missing.into_iter().map(|kind| {
        let found = format!("the cluster does not serve it in {}", kind.api_version());
        let group = kind
            .resource()
            .split_once('.')
            .map_or("", |(_, group)| group);
        Finding::missing(format!("kind {kind}"), found)
            .fixed_by(format!("kubectl api-resources --api-group={group}"))
    });
    Ok(findings.collect())
}

async fn ingress_class(cluster: &Cluster, config: &Config) -> Result<Finding, Error> {
    let wanted = config.ingress.class.as_deref();
    let found = cluster.ingress_classes().await?;
    Ok(default_or_named(
        "IngressClass",
        "ingress.class",
        wanted,
        &found,
    ))
}

async fn storage_class(cluster: &Cluster, config: &Config) -> Result<Vec<Finding>, Error> {
    let Some(database) = &config.database else {
        return Ok(Vec::new());
    };
    let wanted = database.storage_class.as_deref();
    let found = cluster.storage_classes().await?;
    let setting = "database.storage_class";
    Ok(vec![default_or_named(
        "StorageClass",
        setting,
        wanted,
        &found,
    )])
}

/// The certificate that previews share, judged by the hosts of one that could be.
async fn certificate(cluster: &Cluster, config: &Config) -> Result<Vec<Finding>, Error> {
    let Some(home) = &config.tls else {
        return Ok(Vec::new());
    };
    let found = cluster.certificate(home).await?;
    let subject = Subject::Pr(PrNumber::FIRST);
    let host = config.host.render(&subject).into_iter();
    let own = config.components.iter();
    let own = own.filter_map(|component| component.route.as_ref()?.host.as_ref());
    let own = own.filter_map(|host| host.render(&subject).ok());
    let hosts = host.chain(own).collect();
    let wrong = tls::check(home, &found, &hosts, Timestamp::now());
    let what = "certificate";
    if wrong.is_empty() {
        return Ok(vec![Finding::good(
            what,
            format!("{home} is valid for previews"),
        )]);
    }
    let fix = format!(
        "kubectl -n {} create secret tls {} --cert=FILE --key=FILE",
        home.namespace, home.secret
    );
    let findings = wrong
        .iter()
        .map(|wrong| Finding::missing(what, wrong).fixed_by(&fix));
    Ok(findings.collect())
}
