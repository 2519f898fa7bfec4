//! The addresses of the node, and the veth pair that joins its network namespace to the host.

use std::{net::Ipv4Addr, process::Command};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::{command::output, enclosure::Enclosure};

/// The host's end of the pair.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The node's end: API server, registry and token server listen here.
pub(super) const NODE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// For documentation (RFC 5737), so nobody's real network.
const LINK: Range = Range {
    name: "198.51.100.0/24",
    base: Ipv4Addr::new(198, 51, 100, 0),
    length: 24,
};
/// For benchmarks of network devices (RFC 2544), as the next.
pub(super) const PODS: Range = Range {
    name: "198.18.0.0/16",
    base: Ipv4Addr::new(198, 18, 0, 0),
    length: 16,
};
/// Cluster addresses of services.
pub(super) const SERVICES: Range = Range {
    name: "198.19.0.0/16",
    base: Ipv4Addr::new(198, 19, 0, 0),
    length: 16,
};

const HOST_END: &str = "preview0";
const NODE_END: &str = "node0";

/// A default route may be split in halves or quarters (VPNs do): what is shorter than this is nobody's claim on us.
const SHORTEST_CLAIM: u8 = 8;

/// A range of addresses.
pub(super) struct Range {
    pub(super) name: &'static str,
    base: Ipv4Addr,
    length: u8,
}

impl Range {
    fn overlaps(&self, base: Ipv4Addr, length: u8) -> bool {
        let shift = 32 - u32::from(self.length.min(length));
        u64::from(self.base.to_bits()) >> shift == u64::from(base.to_bits()) >> shift
    }
}

/// A line of `ip -json route`.
#[derive(Deserialize)]
struct Route {
    dst: String,
    dev: Option<String>,
}

impl Route {
    fn takes(&self, range: &Range) -> bool {
        if self.dev.as_deref() == Some(HOST_END) {
            return false;
        }
        let (base, length) = self.dst.split_once('/').unwrap_or((&self.dst, "32"));
        match (base.parse(), length.parse()) {
            (Ok(base), Ok(length)) => length >= SHORTEST_CLAIM && range.overlaps(base, length),
            _ => false,
        }
    }
}

/// Refuses when a range of ours is routed by somebody else.
pub(super) fn check_free() -> anyhow::Result<()> {
    let routes = output(Command::new("ip").args(["-4", "-json", "route", "show", "table", "all"]))?;
    let routes: Vec<Route> =
        serde_json::from_str(&routes).context("read the answer of `ip -json route`")?;
    if let Some(sentence) = conflict(&routes) {
        bail!("{sentence}");
    }
    Ok(())
}

fn conflict(routes: &[Route]) -> Option<String> {
    for range in [&LINK, &PODS, &SERVICES] {
        if let Some(route) = routes.iter().find(|route| route.takes(range)) {
            let dev = route.dev.as_deref().unwrap_or("no device");
            return Some(format!(
                "this machine routes {} ({dev}), which overlaps {} of the counterparts; end what uses it, or use another cluster: set PREVIEW_TEST_KUBECONFIG and PREVIEW_TEST_REGISTRY",
                route.dst, range.name
            ));
        }
    }
    None
}

/// Joins the enclosure to the host. The host reaches pods and services through the node.
pub(super) fn join(enclosure: &Enclosure) -> anyhow::Result<()> {
    let ip = |arguments: &str| output(Command::new("ip").args(arguments.split(' ')));
    let pid = enclosure.pid();
    ip(&format!(
        "link add {HOST_END} type veth peer name {NODE_END} netns {pid}"
    ))?;
    ip(&format!("addr add {HOST}/{} dev {HOST_END}", LINK.length))?;
    ip(&format!("link set {HOST_END} up"))?;
    for arguments in [
        format!("ip addr add {NODE}/{} dev {NODE_END}", LINK.length),
        format!("ip link set {NODE_END} up"),
        "ip link set lo up".to_owned(),
        format!("ip route add default via {HOST}"),
        // A live pod has a route of its own. Without this, what is sent to one that has just ended goes to the host and
        // is lost there, and whoever connects in that moment waits for minutes instead of being told.
        format!("ip route add unreachable {}", PODS.name),
        // Of the node's own namespace, not the host's.
        "busybox sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0".to_owned(),
    ] {
        enclosure.run(&arguments)?;
    }
    for range in [PODS, SERVICES] {
        ip(&format!(
            "route add {} via {NODE} dev {HOST_END}",
            range.name
        ))?;
    }
    Ok(())
}

/// Removes the pair, and with it the host's routes. The kernel does so too some time after the last process in the
/// namespace has ended, but the next `up` must not depend on when.
pub(super) fn part() -> anyhow::Result<()> {
    let known = output(Command::new("ip").args(["-json", "link", "show", "type", "veth"]))?;
    if known.contains(&format!("\"{HOST_END}\"")) {
        // Lost to the kernel between the two commands: as good.
        let _ = output(Command::new("ip").args(["link", "delete", HOST_END]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn routes(dst: &[(&str, &str)]) -> Vec<Route> {
        dst.iter()
            .map(|(dst, dev)| Route {
                dst: (*dst).to_owned(),
                dev: Some((*dev).to_owned()),
            })
            .collect()
    }

    #[test]
    fn ordinary_routes_and_our_own_are_no_conflict() {
        let ordinary = [
            ("default", "eth0"),
            ("192.0.2.0/24", "eth0"),
            ("0.0.0.0/1", "tun0"),
            ("128.0.0.0/1", "tun0"),
        ];
        assert_eq!(conflict(&routes(&ordinary)), None);
        assert_eq!(
            conflict(&routes(&[
                ("198.51.100.0/24", HOST_END),
                ("198.18.0.0/16", HOST_END)
            ])),
            None
        );
    }

    #[test]
    fn somebody_elses_route_into_a_range_is_named() {
        assert_snapshot!(conflict(&routes(&[("198.18.0.0/15", "bench0")])).unwrap(), @"this machine routes 198.18.0.0/15 (bench0), which overlaps 198.18.0.0/16 of the counterparts; end what uses it, or use another cluster: set PREVIEW_TEST_KUBECONFIG and PREVIEW_TEST_REGISTRY");
        assert!(conflict(&routes(&[("198.51.100.7", "eth0")])).is_some());
    }
}
