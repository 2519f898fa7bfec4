//! From the file's shape to what it means, with everything checked that can be wrong in it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::{ConfigError, Source};
use super::patterns::patterns;
use super::quantity::{Cpu, Memory};
use super::{
    Amounts, Component, Config, EnvValue, Promote, Quota, RegistrySettings, Resources, Variable,
    alerts, checks, database, file, isolation, lifetime, promote, pulls, routes, slots,
};
use crate::manifests;
use crate::names::{ComponentName, ImageName};

/// A Job's name is a component's with `-migrate-` and a hash, and holds 63 characters.
const LONGEST_COMPONENT: usize = 40;

pub(super) fn read(file: &str, text: &str) -> Result<Config, ConfigError> {
    let source = Source::new(file, text)?;
    let written: file::File = toml::from_str(text).map_err(|error| source.not_read(&error))?;
    let config = Config {
        namespace: value(&source, &["namespace"], &written.namespace)?,
        host: value(&source, &["host"], &written.host)?,
        capacity: written.capacity,
        capacity_of: written.capacity_of,
        approval: written.approval,
        deadline: deadline(&source, &written.deadline)?,
        pull_requests: pulls::pulls(&source, written.pull_requests)?,
        components: components(&source, written.components)?,
        database: written
            .database
            .map(|written| database::read(&source, written))
            .transpose()?,
        manifests: super::manifests::manifests(&source, written.manifests)?,
        quota: quota(&source, written.quota)?,
        queue: slots::queue(&source, written.queue)?,
        sweep: slots::sweep(written.sweep),
        cleanup: super::cleanup::cleanup(&source, written.cleanup)?,
        lifetime: lifetime::lifetime(&source, written.lifetime)?,
        commands: super::commands::commands(written.commands),
        alerts: alerts::alerts(&source, written.alerts)?,
        registry: registry(&source, written.registry)?,
        tls: written
            .tls
            .map(|written| isolation::tls(&source, written))
            .transpose()?,
        network: isolation::network(&source, written.network)?,
        ingress: routes::ingress(&source, written.ingress)?,
        gateway: written
            .gateway
            .map(|written| routes::gateway(&source, written))
            .transpose()?,
        checks: checks::settings(&source, &written.checks)?,
        access_hint: access_hint(&source, written.access.hint)?,
        promote: Promote::default(),
    };
    if config.capacity == 0 {
        return Err(source.wrong(
            &["capacity"],
            "at least one preview must have a slot; write 1 or more",
        ));
    }
    check_together(&source, &config)?;
    let promote = promote::promote(&source, written.promote, &config.components)?;
    Ok(Config { promote, ..config })
}

/// Reads `text` as a `T`.
pub(super) fn value<T: FromStr<Err: fmt::Display>>(
    source: &Source<'_>,
    key: &[&str],
    text: &str,
) -> Result<T, ConfigError> {
    text.parse().map_err(|error| source.wrong(key, error))
}

/// Refuses the value at `key` with `problem` unless it is `good`.
pub(super) fn check(
    source: &Source<'_>,
    good: bool,
    key: &[&str],
    problem: impl fmt::Display,
) -> Result<(), ConfigError> {
    if good {
        Ok(())
    } else {
        Err(source.wrong(key, problem))
    }
}

fn access_hint(source: &Source<'_>, hint: Option<String>) -> Result<Option<String>, ConfigError> {
    if let Some(hint) = &hint {
        let fits = !hint.trim().is_empty() && hint.lines().count() == 1 && hint.len() <= 300;
        let problem = "it stands in a comment: write one line of at most 300 characters";
        check(source, fits, &["access", "hint"], problem)?;
    }
    Ok(hint)
}

fn deadline(source: &Source<'_>, text: &str) -> Result<Duration, ConfigError> {
    let hours = Duration::from_secs(6 * 3600);
    duration(text)
        .filter(|long| (Duration::from_secs(30)..=hours).contains(long))
        .ok_or_else(|| {
            source.wrong(&["deadline"], format!("{text:?} is no duration of at least 30s and at most 6h; write it like 10m, 90s or 1h30m"))
        })
}

/// Hours, minutes and seconds in that order, such as `1h30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((digits, after)) = rest.split_once(unit) {
            let plain = digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit());
            let count: u64 = digits.parse().ok().filter(|_| plain)?;
            seconds += count * length;
            rest = after;
        }
    }
    rest.is_empty().then(|| Duration::from_secs(seconds))
}

fn components(
    source: &Source<'_>,
    written: BTreeMap<ComponentName, file::Component>,
) -> Result<Vec<Component>, ConfigError> {
    check(
        source,
        !written.is_empty(),
        &["components"],
        "a preview of nothing; describe a component as [components.<name>]",
    )?;
    let mut components = written
        .into_iter()
        .map(|(name, written)| component(source, name, written))
        .collect::<Result<Vec<_>, _>>()?;
    components.sort_by_key(|component| source.position(&["components", component.name.as_str()]));
    Ok(components)
}

fn component(
    source: &Source<'_>,
    name: ComponentName,
    written: file::Component,
) -> Result<Component, ConfigError> {
    let at = |key: &'static str| ["components", name.as_str(), key];
    let table = ["components", name.as_str()];
    check(
        source,
        name.as_str().len() <= LONGEST_COMPONENT
            && name.as_str().starts_with(|c: char| c.is_ascii_lowercase()),
        &table,
        format!(
            "the name of a Service, too: at most {LONGEST_COMPONENT} characters, and a letter first"
        ),
    )?;
    check(
        source,
        written.port > 0,
        &at("port"),
        "0 is no port; write 1 to 65535",
    )?;
    let readiness = written.readiness.as_deref();
    check(
        source,
        readiness.is_none_or(is_path),
        &at("readiness"),
        "no path; it begins with / and has neither blanks nor ? nor #",
    )?;
    for (key, command) in [("migrate", &written.migrate), ("seed", &written.seed)] {
        let empty = command.as_ref().is_some_and(Vec::is_empty);
        check(
            source,
            !empty,
            &at(key),
            "a command of no words; write it like [\"/api\", \"migrate\"], or leave the key out",
        )?;
    }
    let unchanged = patterns(source, &at("unchanged"), written.unchanged)?;
    let mut env = BTreeMap::new();
    for (variable, text) in &written.env {
        let key = ["components", name.as_str(), "env", variable];
        env.insert(variable.clone(), env_value(source, &key, variable, text)?);
    }
    let resources = resources(
        source,
        &at("resources"),
        written.resources,
        &Resources::of_a_component(),
    )?;
    let route = routes::route(source, &name, written.host.as_deref(), written.path)?;
    let check = written
        .check
        .map(|written| checks::of_component(source, &name, route.as_ref(), written));
    Ok(Component {
        image: written.image,
        unchanged,
        port: written.port,
        replicas: written.replicas,
        route,
        check: check.transpose()?,
        readiness: written.readiness,
        env,
        migrate: written.migrate,
        seed: written.seed,
        resources,
        name,
    })
}

pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'))
}

fn env_value(
    source: &Source<'_>,
    key: &[&str],
    variable: &str,
    text: &str,
) -> Result<EnvValue, ConfigError> {
    let name_is_good = !variable.starts_with(|c: char| c.is_ascii_digit())
        && !variable.is_empty()
        && variable
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    check(
        source,
        name_is_good,
        key,
        "no name of an environment variable; use letters, digits and _, and no digit first",
    )?;
    let fixed = Variable::FIXED.iter().any(|fixed| fixed.name() == variable)
        || variable == manifests::PASSWORD_KEY;
    check(
        source,
        !fixed,
        key,
        "set for every component already; choose another name",
    )?;
    EnvValue::parse(text).map_err(|unknown| {
        let known = Variable::FIXED.map(|variable| variable.name());
        let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
        let hint = super::error::nearest(&unknown, &known).map_or_else(
            || format!("there are: {}", known.join(", ")),
            |near| format!("did you mean ${{{near}}}?"),
        );
        source.wrong(
            key,
            format!("${{{unknown}}} stands for nothing; {hint} ($${{ is ${{ itself)"),
        )
    })
}

/// What is written, completed by `default`; a limit alone lowers a default request that would exceed it, as Kubernetes
/// would have the request follow the limit.
pub(super) fn resources(
    source: &Source<'_>,
    key: &[&str],
    written: file::Resources,
    default: &Resources,
) -> Result<Resources, ConfigError> {
    let limits = Amounts {
        cpu: written
            .limits
            .cpu
            .unwrap_or_else(|| default.limits.cpu.clone()),
        memory: written
            .limits
            .memory
            .unwrap_or_else(|| default.limits.memory.clone()),
    };
    let least = |default: &Cpu, limit: &Cpu| {
        if default.millicores() <= limit.millicores() {
            default.clone()
        } else {
            limit.clone()
        }
    };
    let least_memory = |default: &Memory, limit: &Memory| {
        if default.bytes() <= limit.bytes() {
            default.clone()
        } else {
            limit.clone()
        }
    };
    let requests = Amounts {
        cpu: written
            .requests
            .cpu
            .unwrap_or_else(|| least(&default.requests.cpu, &limits.cpu)),
        memory: written
            .requests
            .memory
            .unwrap_or_else(|| least_memory(&default.requests.memory, &limits.memory)),
    };
    let fits = requests.cpu.millicores() <= limits.cpu.millicores()
        && requests.memory.bytes() <= limits.memory.bytes();
    check(
        source,
        fits,
        key,
        format!(
            "requests (cpu {}, memory {}) exceed limits (cpu {}, memory {}); raise the limits too",
            requests.cpu, requests.memory, limits.cpu, limits.memory
        ),
    )?;
    Ok(Resources { requests, limits })
}

fn quota(source: &Source<'_>, written: file::Quota) -> Result<Quota, ConfigError> {
    let sums = file::Resources {
        requests: written.requests,
        limits: written.limits,
    };
    Ok(Quota {
        resources: resources(source, &["quota"], sums, &Resources::of_a_preview())?,
        volumes: written.volumes,
        storage: written.storage,
    })
}

fn registry(source: &Source<'_>, written: file::Registry) -> Result<RegistrySettings, ConfigError> {
    let file::Registry {
        plain_http,
        github_packages,
    } = written;
    for (key, hosts) in [
        ("plain_http", &plain_http),
        ("github_packages", &github_packages),
    ] {
        for host in hosts {
            // Whatever can stand before the path of an image's name.
            let good = !host.contains('/') && format!("{host}/x").parse::<ImageName>().is_ok();
            check(
                source,
                good,
                &["registry", key],
                format!("{host:?} is no registry; write it like registry.example.com:5000"),
            )?;
        }
    }
    Ok(RegistrySettings {
        plain_http,
        github_packages,
    })
}

/// What is right by itself and wrong beside the rest.
fn check_together(source: &Source<'_>, config: &Config) -> Result<(), ConfigError> {
    routes::check_routes(source, config)?;
    checks::check_together(source, config)?;
    for component in &config.components {
        let name = component.name.as_str();
        routes::check_variables(source, config, component)?;
        if config.database.is_some() {
            let taken = name == manifests::DATABASE;
            check(
                source,
                !taken,
                &["components", name],
                "the database's own name; choose another",
            )?;
        } else {
            check_without_database(source, component)?;
        }
    }
    Ok(())
}

fn check_without_database(source: &Source<'_>, component: &Component) -> Result<(), ConfigError> {
    let name = component.name.as_str();
    for (key, command) in [("migrate", &component.migrate), ("seed", &component.seed)] {
        let problem = "there is no database; describe one as [database], if with no keys at all";
        check(
            source,
            command.is_none(),
            &["components", name, key],
            problem,
        )?;
    }
    for (variable, text) in &component.env {
        if let Some(needs) = text.variables().find(|variable| variable.needs_database()) {
            let problem = format!(
                "${{{}}} stands for nothing without a database; describe one as [database]",
                needs.name()
            );
            return Err(source.wrong(&["components", name, "env", variable], problem));
        }
    }
    Ok(())
}
