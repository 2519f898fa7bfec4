//! The cgroup below which the node's pods live, one in each hierarchy (v1) or in the only one (v2).

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::state;

/// The name of our root, as the kubelet's `cgroupRoot` without its slash.
pub(super) const ROOT: &str = "preview-counterparts";

/// What we switched on at the root of a v2 hierarchy, to be switched off by `down`.
const SWITCHED: &str = "switched-controllers";

/// What the kubelet demands of its root (`getSupportedUnifiedControllers` in its cgroup manager).
const WANTED: &[&str] = &["cpu", "cpuset", "memory", "hugetlb", "pids"];

const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted hierarchy.
#[derive(Debug, PartialEq)]
struct Hierarchy {
    at: PathBuf,
    v2: bool,
}

fn hierarchies() -> anyhow::Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    Ok(parse(&text))
}

/// Lines of `mountinfo`: the fifth field is the mount point, the first after ` - ` the file system.
fn parse(text: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let at = left.split(' ').nth(4)?.into();
        match right.split(' ').next()? {
            "cgroup" => Some(Hierarchy { at, v2: false }),
            "cgroup2" => Some(Hierarchy { at, v2: true }),
            _ => None,
        }
    };
    text.lines().filter_map(hierarchy).collect()
}

fn roots() -> anyhow::Result<Vec<PathBuf>> {
    let roots = hierarchies()?
        .into_iter()
        .map(|hierarchy| hierarchy.at.join(ROOT));
    Ok(roots.filter(|root| root.exists()).collect())
}

/// Makes our root in every hierarchy.
pub(super) fn create() -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        // Where v1 has the controllers, a v2 hierarchy beside them is only for systemd's bookkeeping.
        if hierarchy.v2 && hierarchy.at == Path::new("/sys/fs/cgroup") {
            switch_on(&hierarchy.at)?;
        }
        let root = hierarchy.at.join(ROOT);
        fs::create_dir_all(&root)
            .with_context(|| format!("create the cgroup {}", root.display()))?;
    }
    Ok(())
}

/// A v2 child has only the controllers that its parent hands down; systemd hands down what its units use.
fn switch_on(hierarchy: &Path) -> anyhow::Result<()> {
    let control = hierarchy.join("cgroup.subtree_control");
    for name in lacking(
        &words(&hierarchy.join("cgroup.controllers")),
        &words(&control),
    ) {
        fs::write(&control, format!("+{name}"))
            .with_context(|| format!("+{name} in {}", control.display()))?;
        let noted = fs::read_to_string(state::path(SWITCHED)).unwrap_or_default();
        state::write(SWITCHED, format!("{noted}{} {name}\n", control.display()))?;
    }
    Ok(())
}

/// Of the controllers that the kubelet demands where the machine has them, those that are not handed down yet.
fn lacking(there: &[String], handed_down: &[String]) -> Vec<&'static str> {
    let has = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
    let lacks = |name: &&&str| has(there, name) && !has(handed_down, name);
    WANTED.iter().filter(lacks).copied().collect()
}

fn words(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The processes in our cgroups.
pub(super) fn processes() -> anyhow::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for root in roots()? {
        walk(&root, &mut |folder| {
            pids.extend(
                words(&folder.join("cgroup.procs"))
                    .iter()
                    .flat_map(|pid| pid.parse::<u32>()),
            )
        });
    }
    // 0 is a process of a namespace that we cannot see into.
    pids.retain(|pid| *pid != 0);
    Ok(pids)
}

/// Visits the folders below, deepest first.
fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(folder);
}

/// Removes our cgroups. Their processes must have ended.
pub(super) fn remove() -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let left = roots()?;
        if left.is_empty() {
            break;
        }
        if start.elapsed() > PATIENCE {
            bail!("cgroups {left:?} cannot be removed; see cgroup.procs below them");
        }
        for root in left {
            // Busy for a moment after the last process ended: the next round sees.
            walk(&root, &mut |folder| drop(fs::remove_dir(folder)));
        }
        thread::sleep(Duration::from_millis(20));
    }
    switch_off();
    Ok(())
}

/// Best effort: what somebody else has begun to use meanwhile stays on.
fn switch_off() {
    for line in fs::read_to_string(state::path(SWITCHED))
        .unwrap_or_default()
        .lines()
    {
        if let Some((control, name)) = line.split_once(' ') {
            let _ = fs::write(control, format!("-{name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kubelet_demands_and_nobody_handed_down_is_switched_on() {
        let list = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        // As systemd leaves a GitHub runner.
        let there = list("cpuset cpu io memory hugetlb pids rdma misc");
        assert_eq!(
            lacking(&there, &list("cpu memory pids")),
            ["cpuset", "hugetlb"]
        );
        assert!(lacking(&list("cpu memory pids"), &list("cpu memory pids")).is_empty());
    }

    #[test]
    fn hierarchies_of_both_kinds_are_found() {
        let found = parse(
            "25 21 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
             26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n\
             27 25 0:24 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        );
        let at = |path: &str, v2| Hierarchy {
            at: path.into(),
            v2,
        };
        assert_eq!(
            found,
            [
                at("/sys/fs/cgroup/cpu", false),
                at("/sys/fs/cgroup/unified", true)
            ]
        );
    }
}
